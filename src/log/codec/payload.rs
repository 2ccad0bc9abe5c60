//! Bodies that are too big for a page: the overflow of one commit, packed into one file that is named by its hash.
//!
//! Nothing here touches a disk. A pack is complete before its name is known, and it must be durable before the page
//! that refers to it.

use std::fmt;
use std::io;

/// The big bodies of one commit, one after the other.
#[derive(Debug, Default)]
pub struct Pack {
    bytes: Vec<u8>,
}

/// A complete pack: what its file contains, and the hash that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPack {
    pub name: [u8; 32],
    pub bytes: Vec<u8>,
}

/// Where a body is that did not stay in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadRef {
    /// The hash of the whole pack, by which its file is found.
    pub pack: [u8; 32],
    /// Where in the pack the body begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub length: u32,
    /// The hash of the body alone.
    pub hash: [u8; 32],
}

/// How many bytes a reference takes in a frame.
pub const PAYLOAD_REF_BYTES: usize = 76;

/// Who can fetch a body by its reference.
pub trait FetchPayload {
    /// The bytes in the place that the reference names. Whether they are the right ones is checked by the codec.
    fn fetch(&self, reference: &PayloadRef) -> io::Result<Vec<u8>>;
}

/// For frames that are known to hold their bodies.
#[derive(Debug, Clone, Copy)]
pub struct NoPayloads;

impl FetchPayload for NoPayloads {
    fn fetch(&self, _: &PayloadRef) -> io::Result<Vec<u8>> {
        Err(io::Error::new(io::ErrorKind::NotFound, "there are no payload files here"))
    }
}

impl Pack {
    /// Adds a body. The name of the pack in the reference is still empty.
    pub fn add(&mut self, body: &[u8]) -> PayloadRef {
        let offset = self.bytes.len() as u64;
        let length = u32::try_from(body.len()).expect("the codec takes no body of 4 GiB");
        self.bytes.extend_from_slice(body);
        PayloadRef { pack: [0; 32], offset, length, hash: *blake3::hash(body).as_bytes() }
    }

    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Completes the pack; none if nothing was added.
    pub fn seal(self) -> Option<SealedPack> {
        if self.bytes.is_empty() {
            return None;
        }
        Some(SealedPack { name: *blake3::hash(&self.bytes).as_bytes(), bytes: self.bytes })
    }
}

impl FetchPayload for SealedPack {
    fn fetch(&self, reference: &PayloadRef) -> io::Result<Vec<u8>> {
        let start = reference.offset as usize;
        let body = self.bytes.get(start..start + reference.length as usize);
        body.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl PayloadRef {
    /// Whether these are the bytes that were written.
    pub fn fits(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.length as usize && *blake3::hash(bytes).as_bytes() == self.hash
    }

    /// Appends the reference; the pack's name comes first, so that it can be filled in later.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.pack);
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.hash);
    }

    /// Reads a reference; none unless the bytes are exactly one.
    pub fn decode(bytes: &[u8]) -> Option<PayloadRef> {
        let bytes: &[u8; PAYLOAD_REF_BYTES] = bytes.try_into().ok()?;
        let (pack, rest) = bytes.split_first_chunk::<32>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        Some(PayloadRef {
            pack: *pack,
            offset: u64::from_le_bytes(*offset),
            length: u32::from_le_bytes(*length),
            hash: rest.try_into().ok()?,
        })
    }
}

/// The name of a pack's file: the hash in hexadecimal.
pub fn pack_file_name(name: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*name).to_hex().to_string()
}

impl fmt::Display for PayloadRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} of {} bytes", pack_file_name(&self.pack), self.offset, self.length)
    }
}
