//! The AsyncAPI 3.0 description of the two WebSockets, made from the published schemas of their frames. A test holds those
//! against the types that are really sent, so this cannot lag behind.

use serde_json::{Map, Value, json};

use crate::api::{live_socket, worker_socket};

/// One direction of one WebSocket.
struct Side {
    /// What its frames are called in the document.
    name: &'static str,
    /// What the server does with them.
    action: &'static str,
    schema: &'static str,
}

/// One WebSocket.
struct Socket {
    name: &'static str,
    address: &'static str,
    subprotocol: &'static str,
    title: &'static str,
    description: &'static str,
    sides: [Side; 2],
}

const SOCKETS: [Socket; 2] = [
    Socket {
        name: "live",
        address: "/api/live",
        subprotocol: live_socket::SUBPROTOCOL,
        title: "Live pages",
        description: "Follow jobs, events, logs, queues and workers. The server speaks first. One JSON object a message. \
                      Close codes 4000 to 4499: come back with the same positions; 4500 to 4999: stop, and show why.",
        sides: [
            Side {
                name: "LiveClientFrame",
                action: "receive",
                schema: include_str!("../../schemas/live/client-to-server.json"),
            },
            Side {
                name: "LiveServerFrame",
                action: "send",
                schema: include_str!("../../schemas/live/server-to-client.json"),
            },
        ],
    },
    Socket {
        name: "worker",
        address: "/api/worker",
        subprotocol: worker_socket::SUBPROTOCOL,
        title: "Workers",
        description: "Take jobs and report on them. The worker says `hello` first, within 5 s. A message is a frame or an \
                      array of frames. Close codes as for live pages.",
        sides: [
            Side {
                name: "WorkerFrame",
                action: "receive",
                schema: include_str!("../../schemas/worker/worker-to-server.json"),
            },
            Side {
                name: "ServerFrame",
                action: "send",
                schema: include_str!("../../schemas/worker/server-to-worker.json"),
            },
        ],
    },
];

/// Describes the WebSockets.
pub fn describe(version: &str) -> Value {
    let (mut schemas, mut messages) = (Map::new(), Map::new());
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for socket in &SOCKETS {
        let mut carried = Map::new();
        for side in &socket.sides {
            let names = describe_side(side, &mut schemas, &mut messages);
            let channel_path = format!("#/channels/{}", socket.name);
            let of_operation = names.iter().map(|name| json!({"$ref": format!("{channel_path}/messages/{name}")}));
            let operation = json!({
                "action": side.action,
                "channel": {"$ref": channel_path},
                "summary": format!("{}: the server {}s these", socket.title, side.action),
                "messages": of_operation.collect::<Vec<Value>>()
            });
            operations.insert(format!("{}.{}", socket.name, side.action), operation);
            let references = names.into_iter().map(|name| {
                let reference = json!({"$ref": format!("#/components/messages/{name}")});
                (name, reference)
            });
            carried.extend(references);
        }
        let headers = json!({
            "type": "object",
            "properties": {"Sec-WebSocket-Protocol": {"type": "string", "const": socket.subprotocol}}
        });
        let channel = json!({
            "address": socket.address,
            "title": socket.title,
            "description": socket.description,
            "messages": carried,
            "bindings": {"ws": {"method": "GET", "headers": headers, "bindingVersion": "0.1.0"}}
        });
        channels.insert(socket.name.to_owned(), channel);
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Daybook",
            "version": version,
            "description": "The WebSockets of a durable job service. What is asked over HTTP is in /api/openapi.json.",
            "license": {"name": "MIT OR Apache-2.0"}
        },
        "defaultContentType": "application/json",
        "servers": {"local": {"host": "127.0.0.1:7878", "protocol": "ws", "description": "The server, unless told."}},
        "channels": channels,
        "operations": operations,
        "components": {"schemas": schemas, "messages": messages}
    })
}

/// Takes the frames of one direction in, and gives the names of their messages.
fn describe_side(side: &Side, schemas: &mut Map<String, Value>, messages: &mut Map<String, Value>) -> Vec<String> {
    let mut file: Value = serde_json::from_str(side.schema).expect("a published schema is JSON");
    refer(&mut file, side.name);
    let definitions = file["$defs"].take();
    let frames = file["oneOf"].as_array().cloned().unwrap_or_default();
    for (name, definition) in definitions.as_object().into_iter().flatten() {
        schemas.insert(format!("{}.{name}", side.name), definition.clone());
    }
    let payloads = frames.iter().filter_map(|frame| frame["$ref"].as_str());
    let of_frame = |payload: &str| {
        let full_name = payload.rsplit('/').next().unwrap_or_default().to_owned();
        let frame = full_name.rsplit('.').next().unwrap_or_default();
        let definition = &definitions[frame];
        let message = json!({
            "name": frame,
            "title": frame,
            "summary": definition["description"],
            "payload": {"$ref": payload},
        });
        (full_name, message)
    };
    let described: Vec<(String, Value)> = payloads.map(of_frame).collect();
    let names = described.iter().map(|(name, _)| name.clone()).collect();
    messages.extend(described);
    names
}

/// Lets references within a file lead to where its definitions stand in the document.
fn refer(value: &mut Value, name: &str) {
    if let Some(members) = value.as_object_mut() {
        if let Some(Value::String(path)) = members.get_mut("$ref")
            && let Some(definition) = path.strip_prefix("#/$defs/")
        {
            *path = format!("#/components/schemas/{name}.{definition}");
        }
        members.values_mut().for_each(|member| refer(member, name));
    }
    value.as_array_mut().into_iter().flatten().for_each(|element| refer(element, name));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        if let Some(members) = value.as_object() {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        value.as_array().into_iter().flatten().for_each(|element| references(element, found));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = describe("0.0.0");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100);
        for path in found {
            let pointer = path.strip_prefix('#').unwrap_or_else(|| panic!("{path} leads out of the document"));
            assert!(document.pointer(pointer).is_some(), "{path}");
        }
    }

    #[test]
    fn both_directions_of_both_sockets_are_described_with_every_frame() {
        let document = describe("0.0.0");
        for (operation, action, frame) in [
            ("live.receive", "receive", "LiveClientFrame.subscribe"),
            ("live.send", "send", "LiveServerFrame.fell_behind"),
            ("worker.receive", "receive", "WorkerFrame.complete"),
            ("worker.send", "send", "ServerFrame.job"),
        ] {
            let operation = &document["operations"][operation];
            assert_eq!(operation["action"], action);
            let messages = operation["messages"].to_string();
            assert!(messages.contains(&format!("/messages/{frame}\"")), "{messages}");
            let message = &document["components"]["messages"][frame];
            assert!(message["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{message}");
        }
    }
}
