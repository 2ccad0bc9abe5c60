//! A server that is started where one lives already.

use std::path::Path;

use serde_json::json;

use crate::support::server::Start;
use crate::support::worker::{Hold, server};

#[test]
fn a_second_server_on_the_same_data_is_refused_and_the_children_of_the_first_go_on() {
    let first = server();
    let hold = Hold::new(&first, "running");
    let id = first.submit(&json!({"kind": "act", "args": {"hold": first.directory().join("running")}}));
    hold.token();

    let refused =
        Start::in_directory(first.directory(), Path::new("data")).run().err().expect("one server a directory");
    assert_eq!(refused.status.code(), Some(1));
    let words = refused.said;
    assert!(words.contains("is in use"), "{words}");
    assert!(!words.contains('\u{1b}'), "no colours in a pipe: {words}");

    hold.let_go();
    let job = first.finished(&id);
    assert_eq!((job["state"].as_str(), job["attempt"].as_u64()), (Some("completed"), Some(1)));
    assert_eq!(job["lost_count"], 0, "nobody ended its child");
}
