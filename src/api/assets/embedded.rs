//! What the build put into the binary: the only place of `rust_embed`. `build.rs` says why there is nothing, if so.

use std::borrow::Cow;

use bytes::Bytes;

use crate::api::assets::Assets;

#[derive(rust_embed::Embed)]
#[folder = "$OUT_DIR/ui"]
struct Files;

/// Why there is no dashboard; empty if there is one.
const ABSENCE: &str = env!("DAYBOOK_UI_ABSENCE");

/// The dashboard of this binary, or a notice.
pub fn embedded() -> Assets {
    let file = |name: Cow<'static, str>| Some((name.to_string(), Files::get(&name)?.data));
    let files = Files::iter().filter_map(file).map(|(name, data)| match data {
        Cow::Borrowed(bytes) => (name, Bytes::from_static(bytes)),
        Cow::Owned(bytes) => (name, Bytes::from(bytes)),
    });
    Assets::new(files).unwrap_or_else(|| Assets::absent(ABSENCE))
}
