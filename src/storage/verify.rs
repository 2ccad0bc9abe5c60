//! Reads a segment from its first page to its last and checks what the log promises: dense, chained, whole, and at
//! least as long as it was witnessed. Also finds the group at the end whose end is missing.

use std::collections::BTreeMap;

use crate::domain::id::Seq;
use crate::log::chain::{ChainEnd, PAGE_HEADER_BYTES, Page, PageError};
use crate::log::commit::SealedPage;
use crate::storage::guard::SegmentError;
use crate::storage::inspect::Promise;
use crate::storage::payloads::Payloads;
use crate::storage::segment::Segment;

/// What a sound segment contains.
#[derive(Debug)]
pub struct Contents {
    /// Where the chain goes on behind the segment.
    pub end: ChainEnd,
    /// The first seq of the last page; none if there is no page.
    pub last_page: Option<Seq>,
    /// The group at the end that is not complete.
    pub torn: Option<TornGroup>,
    /// The payload files that the pages refer to, and how many bytes of each.
    pub packs: BTreeMap<[u8; 32], u64>,
}

/// A group without its end: nobody was answered for it, and it must not stay (L2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornGroup {
    pub first: Seq,
    /// The first seq of the page in which it begins.
    pub page: Seq,
    /// Where the chain ends before that page.
    pub before: ChainEnd,
}

/// Why a segment is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("{0}")]
    Page(#[from] PageError),
    #[error("{0}")]
    Segment(#[from] SegmentError),
    #[error("it ends with event {found}, but event {promised} was written")]
    Short { promised: Seq, found: Seq },
    #[error("the page at event {page} is not the one that was written")]
    OtherPage { page: Seq },
    #[error("the payload file {0} is missing or cut")]
    PayloadMissing(std::path::PathBuf),
}

/// Checks a segment that begins where `start` ends, without its payload files.
pub fn verify(segment: &Segment, start: ChainEnd, promise: Option<&Promise>) -> Result<Contents, VerifyError> {
    let mut walk = Walk::new(start);
    for item in segment.pages_from(Seq::ZERO) {
        let (key, bytes) = item?;
        let page = Page::parse(&bytes)?;
        if key != page.first {
            return Err(PageError::Gap { expected: key, found: page.first }.into());
        }
        walk.take(&page, promise)?;
    }
    if let Some(promise) = promise {
        let found = Seq(walk.contents.end.next.0 - 1);
        if found < promise.last {
            return Err(VerifyError::Short { promised: promise.last, found });
        }
        if !walk.kept_promise {
            return Err(VerifyError::OtherPage { page: promise.page });
        }
    }
    Ok(walk.contents)
}

/// Checks that the payload files of a segment are there in full. What is in them is checked when they are read.
pub fn verify_payloads(contents: &Contents, payloads: &Payloads) -> Result<(), VerifyError> {
    payloads.first_missing(&contents.packs).map_or(Ok(()), |path| Err(VerifyError::PayloadMissing(path)))
}

/// Takes a torn group off the end of a segment, durably.
pub fn drop_torn(segment: &Segment, torn: &TornGroup) -> Result<(), VerifyError> {
    let rest = if torn.first == torn.page { None } else { Some(page_up_to(segment, torn)?) };
    segment.replace_tail(torn.page, rest.as_ref())?;
    Ok(())
}

/// The page in which a torn group begins, without it.
fn page_up_to(segment: &Segment, torn: &TornGroup) -> Result<SealedPage, VerifyError> {
    let mut end = torn.before;
    let (_, bytes) = segment.page_with(torn.page)?.ok_or(PageError::Cut)?;
    let page = Page::parse(&bytes)?;
    let kept = page.frames()?.into_iter().take_while(|(seq, _)| *seq < torn.first);
    let (mut count, mut length) = (0, PAGE_HEADER_BYTES);
    for (_, frame) in kept {
        count += 1;
        length += frame.bytes();
    }
    let mut bytes = page.bytes()[..length].to_vec();
    end.seal(&mut bytes, count);
    Ok(SealedPage { first: torn.page, bytes, hash: end.previous })
}

struct Walk {
    contents: Contents,
    kept_promise: bool,
}

impl Walk {
    fn new(start: ChainEnd) -> Walk {
        let contents = Contents { end: start, last_page: None, torn: None, packs: BTreeMap::new() };
        Walk { contents, kept_promise: false }
    }

    fn take(&mut self, page: &Page<'_>, promise: Option<&Promise>) -> Result<(), VerifyError> {
        let before = self.contents.end;
        self.contents.end.follow(page)?;
        self.contents.last_page = Some(page.first);
        for (seq, frame) in page.frames()? {
            match (frame.continues(), self.contents.torn) {
                (true, None) => self.contents.torn = Some(TornGroup { first: seq, page: page.first, before }),
                (true, Some(_)) => {}
                (false, _) => self.contents.torn = None,
            }
            let payload = frame.payload().map_err(|source| PageError::Record { seq, source })?;
            if let Some(payload) = payload {
                let bytes = self.contents.packs.entry(payload.pack).or_default();
                *bytes = (*bytes).max(payload.offset + u64::from(payload.length));
            }
        }
        if promise.is_some_and(|promise| promise.page == page.first && promise.hash == self.contents.end.previous) {
            self.kept_promise = true;
        }
        Ok(())
    }
}
