//! The stored views: the promises of every store, and what is particular to files.

use super::*;
use crate::log::job_samples::{plain_job, rich_job};
use crate::views::conformance::{check_holds, conformance};

const LINEAGE: Uuid = Uuid::from_u128(1);

fn jobs(first: u64, last: u64) -> Vec<Arc<Job>> {
    (first..=last).map(|n| Arc::new(if n % 5 == 0 { rich_job(n, n, 30) } else { plain_job(n, n) })).collect()
}

fn open(dir: &Path) -> SledFinished {
    SledFinished::open(dir, LINEAGE).unwrap()
}

/// The databases in `dir`.
fn databases(dir: &Path) -> Vec<u64> {
    numbers(dir).unwrap()
}

/// The only database's own file.
fn file(dir: &Path) -> PathBuf {
    let [number] = databases(dir)[..] else { panic!("there is one database") };
    database::path_of(dir, number).join("db")
}

fn stored(dir: &Path, jobs: &[Arc<Job>], position: u64) {
    open(dir).put(jobs, &[], Seq(position)).unwrap();
}

#[test]
fn stored_finished_jobs_keep_every_promise() {
    let root = tempfile::tempdir().unwrap();
    let mut number = 0;
    conformance(|| {
        number += 1;
        open(&root.path().join(number.to_string()))
    });
}

#[test]
fn what_was_put_is_there_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let all = jobs(1, 300);
    stored(root.path(), &all[..100], 70);
    stored(root.path(), &all[100..], 90);
    let store = open(root.path());
    assert_eq!(store.position(), Seq(90));
    check_holds(&store, &all, 310);
}

#[test]
fn no_value_spills_out_of_the_segments() {
    let root = tempfile::tempdir().unwrap();
    let mut heavy = rich_job(1, 1, 100_000);
    heavy.tags = Some(Arc::new((0..32).map(|n| format!("{n:0128}").into()).collect()));
    let many: Vec<_> = (2..200).map(|n| Arc::new(Job { tags: heavy.tags.clone(), ..rich_job(n, n, 1) })).collect();
    let store = open(root.path());
    store.put(&[Arc::new(heavy)], &[], Seq(1)).unwrap();
    store.put(&many, &[], Seq(2)).unwrap();
    let blobs = file(root.path()).with_file_name("blobs");
    assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 0);
    let values = store.db.read().clone();
    assert!(values.iter().all(|entry| entry.unwrap().1.len() <= page::VALUE_BYTES_MAX));
}

#[test]
fn the_living_bytes_are_counted() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for round in 1..4 {
        let some: Vec<_> = (1..150).map(|n| Arc::new(rich_job(n, n, (round * 700 / n) as usize))).collect();
        store.put(&some, &[], Seq(round)).unwrap();
        let db = store.db.read().clone();
        let entries = db.iter().map(|entry| entry.unwrap()).filter(|(key, _)| key != database::META_KEY);
        let bytes: u64 = entries.map(|(key, value)| (key.len() + value.len()) as u64).sum();
        assert_eq!(store.meta.lock().live_bytes, bytes);
    }
}

#[test]
fn the_views_of_another_log_are_thrown_away() {
    let root = tempfile::tempdir().unwrap();
    stored(root.path(), &jobs(1, 10), 70);
    let store = SledFinished::open(root.path(), Uuid::from_u128(2)).unwrap();
    assert_eq!(store.position(), Seq::ZERO);
    check_holds(&store, &[], 20);
}

#[test]
fn a_store_whose_directory_is_gone_is_empty() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("views");
    stored(&dir, &jobs(1, 10), 70);
    std::fs::remove_dir_all(&dir).unwrap();
    let store = open(&dir);
    assert_eq!(store.position(), Seq::ZERO);
    store.put(&jobs(1, 10), &[], Seq(70)).unwrap();
    check_holds(&store, &jobs(1, 10), 20);
}

/// Whatever is done to the files: the next start has all, or an error and then nothing, but never something wrong.
#[test]
fn damaged_files_give_an_empty_store_or_an_error_and_then_an_empty_store() {
    let all = jobs(1, 2000);
    let root = tempfile::tempdir().unwrap();
    stored(root.path(), &all, 70);
    let sound = std::fs::read(file(root.path())).unwrap();
    let damages: [fn(&mut Vec<u8>); 6] = [
        |bytes| bytes.truncate(0),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.truncate(bytes.len() - 5000),
        |bytes| bytes.iter_mut().skip(100_000).step_by(1000).for_each(|byte| *byte ^= 4),
        |bytes| bytes.fill(0),
        |bytes| bytes[..50_000].fill(0x55),
    ];
    for damage in damages {
        let dir = tempfile::tempdir().unwrap();
        stored(dir.path(), &all, 70);
        let mut bytes = sound.clone();
        damage(&mut bytes);
        std::fs::write(file(dir.path()), bytes).unwrap();
        let store = open(dir.path());
        let places: Vec<_> = (1..=2000).map(FinishOrdinal).collect();
        let is_whole = store.position() == Seq(70);
        let sound = store.heads(&places).is_ok_and(|heads| {
            let right =
                |(head, job): (&Option<Head>, &Arc<Job>)| head.as_ref().is_none_or(|head| head.job.id == job.id);
            assert!(heads.iter().zip(&all).all(right));
            heads.iter().all(Option::is_some)
        });
        if is_whole && !sound {
            // A reader that misses a job says so; damage that sled noticed was marked before.
            store.condemn();
            drop(store);
            let store = open(dir.path());
            assert_eq!(store.position(), Seq::ZERO);
            store.put(&all, &[], Seq(70)).unwrap();
            check_holds(&store, &all, 2001);
        }
    }
}

#[test]
fn a_page_that_cannot_be_read_condemns_the_store() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    store.put(&jobs(1, 200), &[], Seq(70)).unwrap();
    let db = store.db.read().clone();
    db.insert(page_key(1), b"nonsense").unwrap();
    assert!(store.get(FinishOrdinal(1)).is_ok());
    assert!(store.get(FinishOrdinal(70)).is_err());
    assert!(root.path().join(DAMAGED).exists());
    drop((db, store));
    assert_eq!(open(root.path()).position(), Seq::ZERO);
    assert!(!root.path().join(DAMAGED).exists());
}

#[test]
fn a_database_that_was_not_copied_to_its_end_is_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let all = jobs(1, 100);
    stored(root.path(), &all, 70);
    let (_, half, meta) = create(root.path(), 2, LINEAGE).unwrap();
    half.remove(database::META_KEY).unwrap();
    half.flush().unwrap();
    drop((half, meta));
    let store = open(root.path());
    assert_eq!(store.position(), Seq(70));
    assert_eq!(databases(root.path()), [1]);
    check_holds(&store, &all, 110);
}

#[test]
fn a_database_that_is_mostly_dead_is_copied_while_others_read_it() {
    let root = tempfile::tempdir().unwrap();
    let store = SledFinished::open_and_compact(root.path(), LINEAGE, 1024 * 1024).unwrap();
    let all: Vec<_> = (1..400).map(|n| Arc::new(rich_job(n, n, 300))).collect();
    store.put(&all, &[], Seq(1)).unwrap();
    store.tidy().unwrap();
    assert_eq!(databases(root.path()), [1], "nothing is dead");
    let kept: Vec<_> = all[350..].to_vec();
    let gone: Vec<_> = all[..350].iter().map(|job| crate::views::finish_ordinal(job)).collect();
    store.put(&[], &gone, Seq(2)).unwrap();
    let before = store.db.read().size_on_disk().unwrap();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut rounds = 0;
            while rounds == 0 || !is_done.load(std::sync::atomic::Ordering::Acquire) {
                check_holds(&store, &kept, 410);
                rounds += 1;
            }
            check_holds(&store, &kept, 410);
        });
        store.tidy().unwrap();
        is_done.store(true, std::sync::atomic::Ordering::Release);
        reader.join().unwrap();
    });
    assert_eq!((databases(root.path()), store.position()), (vec![2], Seq(2)));
    assert!(store.db.read().size_on_disk().unwrap() < before);
    let more = Arc::new(plain_job(1, 1));
    store.put(std::slice::from_ref(&more), &[], Seq(3)).unwrap();
    drop(store);
    let store = open(root.path());
    assert_eq!(store.position(), Seq(3));
    check_holds(&store, &[vec![more], kept].concat(), 410);
}

#[test]
fn a_database_that_is_mostly_dead_is_copied_at_the_next_start() {
    const BYTES_MIN: u64 = 1024 * 1024;
    let root = tempfile::tempdir().unwrap();
    let batches: Vec<_> = (1..64).map(|n| Arc::new(rich_job(n, n, 3000))).collect();
    let after: Vec<_> = (1..64).map(|n| Arc::new(rich_job(n, n, 3))).collect();
    let store = open(root.path());
    store.put(&batches, &[], Seq(1)).unwrap();
    store.put(&after, &[], Seq(2)).unwrap();
    let before = store.db.read().size_on_disk().unwrap();
    drop(store);
    assert_eq!(databases(root.path()), [1]);
    let store = SledFinished::open_and_compact(root.path(), LINEAGE, BYTES_MIN).unwrap();
    assert_eq!(databases(root.path()), [2]);
    assert_eq!(store.position(), Seq(2));
    assert!(store.db.read().size_on_disk().unwrap() < before);
    check_holds(&store, &after, 70);
    drop(store);
    let store = open(root.path());
    assert_eq!(databases(root.path()), [2]);
    check_holds(&store, &after, 70);
}
