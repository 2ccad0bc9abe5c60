//! Turns a submission's records into commits: what is made durable at once, as pages and a pack of big bodies.
//!
//! Pure and independent of the store. A submission begins a page of its own and never shares one with the next.

use crate::domain::event::Record;
use crate::domain::id::Seq;
use crate::log::chain::{ChainEnd, PAGE_BYTES_MAX, PAGE_HEADER_BYTES, PageHash};
use crate::log::codec::{EncodeError, Pack, PackNamePlace, SealedPack, encode};

/// The most records that are made durable at once.
pub const COMMIT_EVENTS_MAX: usize = 256;

/// The most bytes of pages that are made durable at once.
pub const COMMIT_BYTES_MAX: usize = 256 * 1024;

/// When the overflow of a commit is above this many bytes, the commit is closed. One body alone may be larger.
pub const PACK_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What is made durable at once.
#[derive(Debug)]
pub struct Commit {
    /// Must be durable before the pages.
    pub pack: Option<SealedPack>,
    /// In order, at least one.
    pub pages: Vec<SealedPage>,
}

/// A page that is ready to be stored under its first seq.
#[derive(Debug)]
pub struct SealedPage {
    pub first: Seq,
    pub bytes: Vec<u8>,
    pub hash: PageHash,
}

/// Splits records into commits and pages behind `end`, which moves on. On an error `end` is as before.
pub fn commits_of(records: &[Record], end: &mut ChainEnd) -> Result<Vec<Commit>, EncodeError> {
    let mut split = Split::new(*end);
    for record in records {
        split.add(record)?;
    }
    split.close_commit();
    *end = split.end;
    Ok(split.commits)
}

struct Split {
    end: ChainEnd,
    commits: Vec<Commit>,
    pages: Vec<OpenPage>,
    pack: Pack,
    events: usize,
    bytes: usize,
}

/// A page that still takes records, or waits for the name of the pack.
struct OpenPage {
    bytes: Vec<u8>,
    count: u32,
    pack_names: Vec<PackNamePlace>,
}

impl OpenPage {
    fn new() -> OpenPage {
        let mut bytes = Vec::with_capacity(1024);
        bytes.resize(PAGE_HEADER_BYTES, 0);
        OpenPage { bytes, count: 0, pack_names: Vec::new() }
    }
}

impl Split {
    fn new(end: ChainEnd) -> Split {
        Split { end, commits: Vec::new(), pages: vec![OpenPage::new()], pack: Pack::default(), events: 0, bytes: 0 }
    }

    fn add(&mut self, record: &Record) -> Result<(), EncodeError> {
        if self.events == COMMIT_EVENTS_MAX || self.bytes >= COMMIT_BYTES_MAX - PAGE_BYTES_MAX {
            self.close_commit();
        }
        let page = self.pages.last_mut().expect("there is always a page to write to");
        let start = page.bytes.len();
        let pack_name = encode(record, &mut page.bytes, &mut self.pack)?;
        let length = page.bytes.len() - start;
        if page.bytes.len() > PAGE_BYTES_MAX {
            let frame = page.bytes.split_off(start);
            let mut next = OpenPage::new();
            next.bytes.extend_from_slice(&frame);
            next.pack_names.extend(pack_name.map(|place| place - start + PAGE_HEADER_BYTES));
            next.count = 1;
            self.pages.push(next);
        } else {
            page.count += 1;
            page.pack_names.extend(pack_name);
        }
        self.events += 1;
        self.bytes += length;
        if self.pack.len() >= PACK_BYTES_MAX {
            self.close_commit();
        }
        Ok(())
    }

    fn close_commit(&mut self) {
        if self.events == 0 {
            return;
        }
        let pack = std::mem::take(&mut self.pack).seal();
        let pages = std::mem::replace(&mut self.pages, vec![OpenPage::new()]);
        let pages = pages.into_iter().map(|page| seal(page, pack.as_ref(), &mut self.end)).collect();
        self.commits.push(Commit { pack, pages });
        (self.events, self.bytes) = (0, 0);
    }
}

fn seal(mut page: OpenPage, pack: Option<&SealedPack>, end: &mut ChainEnd) -> SealedPage {
    for place in page.pack_names {
        let name = &pack.expect("a page refers to a pack only if something overflowed").name;
        page.bytes[place..place + name.len()].copy_from_slice(name);
    }
    let first = end.next;
    end.seal(&mut page.bytes, page.count);
    SealedPage { first, bytes: page.bytes, hash: end.previous }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::event::{Actor, Event, JobCheckpointed};
    use crate::domain::json::Json;
    use crate::domain::time::Timestamp;
    use crate::log::chain::Page;
    use crate::log::codec::{FetchPayload, NoPayloads, samples};

    fn records(sizes: &[usize]) -> Vec<Record> {
        let event = |size: usize| -> Event {
            let data = Json::from_checked(format!("\"{}\"", "x".repeat(size)));
            JobCheckpointed { job: samples::job(1), data }.into()
        };
        let at = Timestamp::from_ms(1);
        let record = |(&size, seq)| Record {
            seq: Seq(seq),
            at,
            previous: None,
            actor: Actor::SERVER,
            continues: false,
            event: event(size),
        };
        sizes.iter().zip(1..).map(record).collect()
    }

    fn read_back(commits: &[Commit]) -> Vec<Record> {
        let mut end = ChainEnd::start(Uuid::nil());
        let mut records = Vec::new();
        for commit in commits {
            let payloads: &dyn FetchPayload = commit.pack.as_ref().map_or(&NoPayloads, |pack| pack);
            for sealed in &commit.pages {
                assert!(sealed.bytes.len() <= PAGE_BYTES_MAX);
                let page = Page::parse(&sealed.bytes).unwrap();
                end.follow(&page).unwrap();
                assert_eq!((page.first, page.hash()), (sealed.first, sealed.hash));
                records.extend(page.records(payloads).unwrap());
            }
        }
        records
    }

    #[test]
    fn records_of_all_sizes_come_back_from_their_commits_in_order() {
        let sizes: Vec<usize> = (0..700).map(|number| (number * 7919) % 12_000).collect();
        let written = records(&sizes);
        let commits = commits_of(&written, &mut ChainEnd::start(Uuid::nil())).unwrap();
        assert_eq!(read_back(&commits), written);
        for commit in &commits {
            let bytes: usize = commit.pages.iter().map(|page| page.bytes.len()).sum();
            assert!(bytes <= COMMIT_BYTES_MAX, "{bytes}");
        }
    }

    #[test]
    fn a_commit_takes_256_small_events() {
        let commits = commits_of(&records(&[10; 513]), &mut ChainEnd::start(Uuid::nil())).unwrap();
        let firsts: Vec<u64> = commits.iter().map(|commit| commit.pages[0].first.0).collect();
        assert_eq!(firsts, [1, 257, 513]);
        assert_eq!(commits[2].pages.len(), 1);
    }

    #[test]
    fn the_overflow_of_a_commit_is_one_pack_and_closes_it_when_it_is_big() {
        let mebi = 1024 * 1024;
        let commits = commits_of(&records(&[10_000, 20_000, 17 * mebi, 9_000]), &mut ChainEnd::start(Uuid::nil()));
        let commits = commits.unwrap();
        let packs: Vec<usize> =
            commits.iter().map(|commit| commit.pack.as_ref().map_or(0, |pack| pack.bytes.len() / 1000)).collect();
        assert_eq!(packs.len(), 2);
        assert!(packs[0] > 17_000 && packs[1] == 9, "{packs:?}");
    }

    #[test]
    fn what_cannot_be_encoded_leaves_the_chain_as_it_was() {
        let mut end = ChainEnd::start(Uuid::nil());
        let mut bad = records(&[1, 2]);
        bad[1].actor.id = Some("x".repeat(2000).into());
        assert!(commits_of(&bad, &mut end).is_err());
        assert_eq!(end, ChainEnd::start(Uuid::nil()));
    }
}
