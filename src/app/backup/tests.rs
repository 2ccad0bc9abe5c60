//! A server that drops what it has offered.

use std::cell::Cell;

use super::*;

/// Offers one file, and has it only from some question on.
struct Dropping {
    path: String,
    is_base: bool,
    asked: Cell<u32>,
    gone_until: u32,
    released: Cell<u32>,
}

impl Dropping {
    fn new(path: String, is_base: bool, gone_until: u32) -> Dropping {
        Dropping { path, is_base, asked: Cell::new(0), gone_until, released: Cell::new(0) }
    }
}

impl BackupServer for Dropping {
    type Error = ();

    fn offer(&self) -> Result<Offer, ()> {
        self.asked.set(self.asked.get() + 1);
        let file = DataFile { path: self.path.clone(), bytes: 5, modified_ms: 7 };
        let (base, files) = if self.is_base { (vec![file], vec![]) } else { (vec![], vec![file]) };
        let at = Timestamp::from_ms(i64::from(self.asked.get()));
        let epoch = Epoch(Uuid::from_u128(2));
        let (lineage, seq) = (Uuid::from_u128(1), Seq::ZERO);
        Ok(Offer { lineage, epoch, at, earliest: Seq(1), seq, base, parts: Vec::new(), files })
    }

    fn file(&self, _: &str) -> Result<Option<Box<dyn Read>>, ()> {
        Ok((self.asked.get() > self.gone_until).then(|| Box::new(&b"lines"[..]) as Box<dyn Read>))
    }

    fn events(&self, _: Seq, _: Seq) -> Result<Option<LineSource>, ()> {
        unreachable!("there are none")
    }

    fn release(&self) {
        self.released.set(self.released.get() + 1);
    }
}

#[test]
fn what_a_server_has_dropped_is_asked_for_anew() {
    let dir = tempfile::tempdir().unwrap();
    for (server, attempts) in
        [(Dropping::new("files/x/out".into(), false, 3), 4), (Dropping::new("log/base/x".into(), true, 6), 7)]
    {
        let done = back_up(&server, dir.path(), None, &mut |_, _| {}).unwrap();
        assert_eq!((server.asked.get(), done.gone, server.released.get()), (attempts, 0, 1));
    }
}

#[test]
fn a_server_that_always_drops_what_it_offers_has_an_end_and_no_half_backup() {
    let dir = tempfile::tempdir().unwrap();
    let server = Dropping::new("log/base/x".into(), true, u32::MAX);
    let refused = back_up(&server, dir.path(), None, &mut |_, _| {}).unwrap_err();
    assert!(matches!(refused, BackupError::Gone(_)), "{refused}");
    assert_eq!((server.asked.get(), server.released.get()), (ATTEMPTS_MAX, 1), "who fails holds nothing either");
    assert!(manifest::names(dir.path()).unwrap().is_empty());
    // Files of jobs that are forgotten all the time are no reason to have no backup.
    let server = Dropping::new("files/x/out".into(), false, u32::MAX);
    let done = back_up(&server, dir.path(), None, &mut |_, _| {}).unwrap();
    assert_eq!((server.asked.get(), done.gone), (ATTEMPTS_MAX, 1));
    assert_eq!(manifest::names(dir.path()).unwrap(), [done.backup]);
}
