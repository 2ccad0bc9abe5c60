//! The dashboard as it is sent: every file of it in memory, in each form in which it was packed, with its headers.
//!
//! Files are found by their whole name and never by a path on a disk, so nothing can lead out of them. The page itself
//! answers for every path that may be one of its own; without a dashboard a notice stands in its place.

mod coding;
mod embedded;
mod notice;

use std::collections::HashMap;

use bytes::Bytes;
use warp::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY,
};
use warp::http::{Response as HttpResponse, StatusCode};
use warp::reply::Response;

use crate::api::assets::coding::{CODINGS, Coding};
use crate::api::query::unescape;
use crate::api::range;

pub use embedded::embedded;

/// The file that is the page.
const PAGE: &str = "index.html";
/// The folder of the files whose names change with what is in them.
const HASHED: &str = "assets/";
/// The length of the part of such a name that changes.
const HASH_BYTES: usize = 8;

/// What the page may do: run its own scripts, talk to its own server, and show what comes from there.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; \
     img-src 'self' data: blob:; media-src 'self'; manifest-src 'self'; frame-src 'none'; base-uri 'none'; \
     frame-ancestors 'none'; form-action 'self'",
);
/// What no page of ours ever asks for.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), \
     midi=(), payment=(), usb=()",
);
/// Under a name that changes with the bytes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// To be kept, and asked for again each time.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// All files of a dashboard, or a notice in its place.
pub struct Assets {
    files: HashMap<String, Asset>,
    page: Asset,
}

/// One file.
pub struct Asset {
    media_type: HeaderValue,
    caching: HeaderValue,
    /// What a browser may do with it when it is shown as a page.
    policy: Option<HeaderValue>,
    forms: Vec<Form>,
}

/// A file as it was packed.
struct Form {
    coding: Coding,
    bytes: Bytes,
    etag: String,
}

impl Assets {
    /// The files of a dashboard by their names; none if the page is not among them. A file with `.br` or `.gz` behind the
    /// name of another is a form of that.
    pub fn new(files: impl IntoIterator<Item = (String, Bytes)>) -> Option<Assets> {
        let mut named: HashMap<String, Bytes> = files.into_iter().collect();
        let plain: Vec<String> = named.keys().filter(|name| whole(name, &named).is_none()).cloned().collect();
        let mut files: HashMap<String, Asset> = HashMap::new();
        for name in plain {
            let packed = |coding: &Coding| Some((*coding, named.remove(&format!("{name}{}", coding.ending()))?));
            let asset = Asset::new(&name, CODINGS.iter().filter_map(packed));
            files.insert(name, asset);
        }
        let page = files.remove(PAGE)?;
        Some(Assets { files, page })
    }

    /// A notice, with the reason why there is no dashboard.
    pub fn absent(reason: &str) -> Assets {
        let page = Asset {
            policy: Some(notice::POLICY),
            ..Asset::new(PAGE, [(Coding::Identity, Bytes::from(notice::page(reason)))])
        };
        Assets { files: HashMap::new(), page }
    }

    /// The file that a path names.
    pub fn file(&self, path: &str) -> Option<&Asset> {
        self.files.get(path.strip_prefix('/')?)
    }

    /// The page, at a path that may be one of its own. Which of them there are, only the page knows.
    pub fn page(&self, path: &str) -> Option<&Asset> {
        may_be_page(path).then_some(&self.page)
    }

    /// The page at such a path, for a client that wants one.
    pub fn page_for(&self, path: &str, headers: &HeaderMap) -> Option<&Asset> {
        self.page(path).filter(|_| wants_page(headers))
    }
}

/// The name of the file of which this one is a form.
fn whole<'a>(name: &'a str, files: &HashMap<String, Bytes>) -> Option<&'a str> {
    let packed = CODINGS.iter().filter(|coding| !coding.ending().is_empty());
    packed.filter_map(|coding| name.strip_suffix(coding.ending())).find(|whole| files.contains_key(*whole))
}

/// Whether it is a path that a page could have: of names, the last without an ending, and apart from what is no page.
fn may_be_page(path: &str) -> bool {
    if path == "/" {
        return true;
    }
    let is_elsewhere = ["/api", "/assets"]
        .iter()
        .any(|other| path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    let inside = path.strip_prefix('/').unwrap_or(path);
    let inside = inside.strip_suffix('/').unwrap_or(inside);
    let names: Option<Vec<String>> = inside.split('/').map(unescape).collect();
    let Some(names) = names.filter(|_| !is_elsewhere) else { return false };
    // An address such as //host would be another site to a browser that is told to go there.
    let is_name = |name: &String| {
        !name.is_empty()
            && name != "."
            && name != ".."
            && !name.contains(|it: char| it.is_control() || "/\\".contains(it))
    };
    names.iter().all(is_name) && names.last().is_some_and(|last| !last.contains('.'))
}

/// Whether the client names HTML among what it takes. One that takes anything would rather hear that nothing is there.
fn wants_page(headers: &HeaderMap) -> bool {
    let mut wanted = coding::weighted(headers, ACCEPT);
    wanted.any(|(media_type, weight)| media_type.eq_ignore_ascii_case("text/html") && weight > 0)
}

/// Whether a name changes with what is in the file: `assets/name-hash.ending`.
fn is_hashed(name: &str) -> bool {
    let Some((stem, _)) = name.strip_prefix(HASHED).and_then(|name| name.split_once('.')) else { return false };
    let is_of_hash = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
    let (name, hash) = stem.as_bytes().split_at(stem.len().saturating_sub(HASH_BYTES));
    hash.len() == HASH_BYTES && hash.iter().all(is_of_hash) && name.len() > 1 && name.ends_with(b"-")
}

/// The media type of a file by its name, with the character set where there is one.
fn media_type(name: &str) -> HeaderValue {
    let guessed = mime_guess::from_path(name).first_or_octet_stream();
    let text = match guessed.type_() {
        mime_guess::mime::TEXT => format!("{}; charset=utf-8", guessed.essence_str()),
        _ => guessed.essence_str().to_owned(),
    };
    HeaderValue::from_str(&text).expect("media types are ASCII")
}

impl Asset {
    fn new(name: &str, forms: impl IntoIterator<Item = (Coding, Bytes)>) -> Asset {
        let media_type = media_type(name);
        let is_document =
            ["text/html", "image/svg"].iter().any(|start| media_type.as_bytes().starts_with(start.as_bytes()));
        let form = |(coding, bytes): (Coding, Bytes)| {
            // Of the very bytes that are sent, so that each form has a tag of its own.
            let etag = format!("\"{}\"", &blake3::hash(&bytes).to_hex()[..32]);
            Form { coding, bytes, etag }
        };
        Asset {
            media_type,
            caching: if is_hashed(name) { FOR_EVER } else { ASK_AGAIN },
            policy: is_document.then_some(POLICY),
            forms: forms.into_iter().map(form).collect(),
        }
    }

    /// Answers with the form that suits the client best, or with nothing if it has that already.
    pub fn answer(&self, asked: &HeaderMap) -> Response {
        let coding = coding::choose(asked, |coding| self.forms.iter().any(|form| form.coding == coding));
        let form = self.forms.iter().find(|form| form.coding == coding).expect("a file is there as it is");
        let known = asked.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let is_known = known.is_some_and(|given| range::etag_fits(given, &form.etag));
        let body = if is_known { Bytes::new() } else { form.bytes.clone() };
        let mut response: Response = HttpResponse::new(body.into());
        let headers = response.headers_mut();
        self.describe(headers, form);
        if is_known {
            headers.remove(CONTENT_TYPE);
            headers.remove(CONTENT_ENCODING);
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        response
    }

    fn describe(&self, headers: &mut HeaderMap, form: &Form) {
        headers.insert(CONTENT_TYPE, self.media_type.clone());
        headers.insert(CACHE_CONTROL, self.caching.clone());
        headers.insert(ETAG, HeaderValue::from_str(&form.etag).expect("a hash can be a header"));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers
            .insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
        if let Some(name) = form.coding.header() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        if let Some(policy) = &self.policy {
            headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
            headers
                .insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
            headers.insert(HeaderName::from_static("permissions-policy"), PERMISSIONS);
        }
    }
}
