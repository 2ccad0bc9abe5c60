//! What the build decides about the dashboard, and what of it a packed crate holds.

#[path = "../build/decide.rs"]
mod decide;
#[path = "../build/npm.rs"]
mod npm;
#[path = "../build/tree.rs"]
#[expect(dead_code, reason = "the build itself uses more of it")]
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use decide::{Absence, FILES, FOLDERS, Found, Plan, SCHEMA, Version, Wish, last_lines, node_version};

fn found(node: Option<&str>) -> Found {
    Found { node: node.map(str::to_owned), npm: true }
}

/// What is done without a folder of a built dashboard.
fn plan(wish: Wish, found: &Found) -> Result<Plan, String> {
    decide::plan(wish, None, || found.clone())
}

#[test]
fn the_wish_is_one_of_three_words_and_auto_without_any() {
    for (value, expected) in [
        (None, Wish::Auto),
        (Some(""), Wish::Auto),
        (Some("auto"), Wish::Auto),
        (Some("require"), Wish::Require),
        (Some("skip"), Wish::Skip),
    ] {
        assert_eq!(decide::wish(value, false), Ok(expected), "{value:?}");
        assert_eq!(decide::wish(value, true), Ok(Wish::Skip), "docs.rs builds none");
    }
    let refused = decide::wish(Some("Skip"), false).expect_err("is no such word");
    assert!(refused.contains("auto, require or skip"), "{refused}");
}

#[test]
fn the_version_of_node_is_read_from_what_it_says() {
    let version = |major, minor| Some(Version { major, minor });
    assert_eq!(node_version("v20.19.4\n"), version(20, 19));
    assert_eq!(node_version("v26.0.0-nightly2026"), version(26, 0));
    assert_eq!(node_version("v21.5-pre"), version(21, 5));
    for odd in ["", "20.19.4", "v20", "vnext.1", "node: not found", "v-1.2"] {
        assert_eq!(node_version(odd), None, "{odd:?}");
    }
}

#[test]
fn with_a_node_that_is_new_enough_the_dashboard_is_built() {
    for said in ["v20.19.0", "v20.20.2", "v22.0.0", "v100.1.0"] {
        for wish in [Wish::Auto, Wish::Require] {
            assert_eq!(plan(wish, &found(Some(said))), Ok(Plan::Build), "{said}");
        }
    }
}

#[test]
fn without_one_it_is_left_out_unless_it_is_required() {
    let old = Absence::OldNode(Version { major: 20, minor: 18 });
    for (found, absence) in [
        (found(None), Absence::NoNode),
        (found(Some("what?")), Absence::NoNode),
        (found(Some("v20.18.3")), old),
        (Found { npm: false, ..found(Some("v22.1.0")) }, Absence::NoNpm),
    ] {
        assert_eq!(plan(Wish::Auto, &found), Ok(Plan::LeaveOut(absence)));
        let refused = plan(Wish::Require, &found).expect_err("it is required");
        assert!(refused.contains(&absence.to_string()) && refused.contains("20.19"), "{refused}");
    }
}

#[test]
fn a_dashboard_that_was_built_already_needs_no_node_and_skip_wins_over_all() {
    let never = || -> Found { panic!("nobody looks") };
    let folder = || Some(PathBuf::from("dist"));
    assert_eq!(decide::plan(Wish::Auto, folder(), never), Ok(Plan::Take("dist".into())));
    assert_eq!(decide::plan(Wish::Require, folder(), never), Ok(Plan::Take("dist".into())));
    assert_eq!(decide::plan(Wish::Skip, folder(), never), Ok(Plan::LeaveOut(Absence::Skipped)));
}

#[test]
fn of_what_npm_says_the_end_is_shown() {
    let said = (0..100).map(|n| format!("line {n}\n\n")).collect::<String>();
    let shown = last_lines(&said);
    assert!(shown.starts_with("line 70\nline 71\n") && shown.ends_with("\nline 99"), "{shown}");
    assert_eq!(last_lines("one\n"), "one");
    assert_eq!(last_lines(""), "");
}

#[test]
fn the_reason_stands_in_a_page_and_so_it_has_no_markup() {
    for absence in
        [Absence::Skipped, Absence::NoNode, Absence::OldNode(Version { major: 18, minor: 4 }), Absence::NoNpm]
    {
        let reason = absence.to_string();
        assert!(!reason.is_empty() && !reason.contains(['<', '>', '&', '\n']), "{reason}");
    }
}

#[test]
fn the_same_oldest_node_is_named_everywhere() {
    let oldest = decide::NODE_OLDEST.to_string();
    for path in ["src/api/assets/notice.rs", "frontend/package.json", "README.md", "tests/run"] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("is there");
        assert!(text.contains(&oldest), "{path} says {oldest}");
    }
}

/// A packed crate builds its dashboard, and holds nothing that npm has installed.
#[test]
fn the_package_lists_all_that_the_dashboard_is_built_from_and_not_its_folder() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("is there");
    let manifest: toml::Table = manifest.parse().expect("is TOML");
    let included = manifest["package"]["include"].as_array().expect("a list");
    let included: Vec<&str> = included.iter().filter_map(toml::Value::as_str).collect();
    let folders = FOLDERS.map(|folder| format!("/frontend/{folder}/**"));
    let files = FILES.map(|file| format!("/frontend/{file}"));
    for path in folders.iter().chain(&files).map(String::as_str).chain(["/build.rs", "/build/**"]) {
        assert!(included.contains(&path), "{path} is in {included:?}");
    }
    assert!(SCHEMA.starts_with("schemas/") && included.contains(&"/schemas/**"));
    let below = |path: &&&str| path.starts_with("/frontend");
    assert_eq!(
        included.iter().filter(below).count(),
        FOLDERS.len() + FILES.len(),
        "the folder as a whole is not listed"
    );
}

/// A frontend without packages, whose build is one line of script.
fn frontend(root: &Path, build: &str) {
    let package = serde_json::json!({"name": "x", "version": "0.0.0", "scripts": {"build": build}});
    let lock = serde_json::json!({"name": "x", "version": "0.0.0", "lockfileVersion": 3, "packages": {"": {"name": "x", "version": "0.0.0"}}});
    let frontend = root.join("frontend");
    FOLDERS.iter().for_each(|name| fs::create_dir_all(frontend.join(name)).expect("a folder"));
    FILES.iter().for_each(|name| fs::write(frontend.join(name), "").expect("a file"));
    fs::write(frontend.join("package.json"), package.to_string()).expect("a file");
    fs::write(frontend.join("package-lock.json"), lock.to_string()).expect("a file");
    let schema = root.join(SCHEMA);
    fs::create_dir_all(schema.parent().expect("a folder")).expect("a folder");
    fs::write(schema, "{}").expect("a file");
}

#[test]
fn a_frontend_that_cannot_be_built_is_an_error_that_says_why() {
    if !npm::look().npm {
        return eprintln!("npm is not here: nothing to build with");
    }
    let (root, out) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    frontend(root.path(), "node -e \"console.error('a type does not fit'); process.exit(1)\"");
    let error = npm::build(root.path(), out.path()).expect_err("its build fails");
    assert!(error.contains("npm run build failed") && error.contains("a type does not fit"), "{error}");
    assert!(error.contains("hint: ") && error.contains("DAYBOOK_UI=skip"), "{error}");
    frontend(root.path(), "node -e \"require('fs').writeFileSync('dist/index.html', 'made')\"");
    let dist = npm::build(root.path(), out.path()).expect("it can be built");
    assert_eq!(fs::read_to_string(dist.join("index.html")).expect("it is there"), "made");
}
