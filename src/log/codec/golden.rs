//! The bytes of version 1, as they were written first. The files are never edited: a test that fails here says that
//! old logs can no longer be read.

use std::path::PathBuf;

use crate::domain::event::{Event, Record};
use crate::domain::id::Seq;
use crate::log::codec::{Frame, NoPayloads, Pack, encode, samples};

fn file(name: &str, extension: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/events/v1").join(format!("{name}.{extension}"))
}

fn bytes_of(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(record, &mut bytes, &mut Pack::default()).unwrap();
    bytes
}

/// What a record means, as text: equal bytes alone would not notice that two fields of one type changed places.
fn meaning(record: &Record) -> serde_json::Value {
    serde_json::json!({
        "at": record.at,
        "type": record.event.type_name(),
        "previous": record.previous,
        "continues": record.continues,
        "actor": record.actor,
        "data": record.event,
    })
}

#[test]
fn every_type_has_a_golden_file_that_still_reads_and_writes_the_same() {
    for (name, seq) in Event::TYPE_NAMES.iter().zip(1..) {
        let Ok(golden) = std::fs::read(file(name, "bin")) else {
            panic!("{name} has no golden file: write it once with `cargo test golden -- --ignored`, then never again");
        };
        let (frame, rest) = Frame::split(&golden).unwrap();
        assert!(rest.is_empty(), "{name}");
        let record = frame.decode(Seq(seq), &NoPayloads).unwrap();
        assert_eq!(record.event.type_name(), *name);
        let meant = std::fs::read(file(name, "json")).unwrap();
        let meant: serde_json::Value = serde_json::from_slice(&meant).unwrap();
        assert_eq!(meaning(&record), meant, "{name} means what it meant");
        assert_eq!(bytes_of(&record), golden, "{name} is written as it was");
    }
}

#[test]
#[ignore = "writes the golden files of types that have none yet"]
fn write_the_golden_files_that_are_missing() {
    for record in samples::one_of_each() {
        let name = record.event.type_name();
        if !file(name, "bin").exists() {
            std::fs::write(file(name, "bin"), bytes_of(&record)).unwrap();
            let text = serde_json::to_string_pretty(&meaning(&record)).unwrap() + "\n";
            std::fs::write(file(name, "json"), text).unwrap();
        }
    }
}
