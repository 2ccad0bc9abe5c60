//! The jobs by ordinal: an array in pieces, so that dense runs cost a word or two a job and gaps cost nothing.

use std::collections::BTreeMap;

use crate::domain::id::Ordinal;
use crate::domain::state::Slot;

const PIECE: u64 = 256;

/// All jobs that are known, in the order of submission.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    pieces: BTreeMap<u64, Piece>,
}

#[derive(Debug, Clone)]
struct Piece {
    slots: Box<[Option<Slot>]>,
    filled: u32,
}

impl Slots {
    /// The slot of an ordinal, if something is in it.
    pub fn get(&self, ordinal: Ordinal) -> Option<&Slot> {
        self.pieces.get(&(ordinal.0 / PIECE))?.slots[(ordinal.0 % PIECE) as usize].as_ref()
    }

    /// The slot of an ordinal, to be changed where it is.
    pub fn get_mut(&mut self, ordinal: Ordinal) -> Option<&mut Slot> {
        self.pieces.get_mut(&(ordinal.0 / PIECE))?.slots[(ordinal.0 % PIECE) as usize].as_mut()
    }

    /// Fills or empties a slot and gives what was in it.
    pub fn set(&mut self, ordinal: Ordinal, slot: Option<Slot>) -> Option<Slot> {
        let number = ordinal.0 / PIECE;
        let piece = self.pieces.entry(number).or_insert_with(Piece::empty);
        let place = &mut piece.slots[(ordinal.0 % PIECE) as usize];
        piece.filled += u32::from(slot.is_some());
        let before = std::mem::replace(place, slot);
        piece.filled -= u32::from(before.is_some());
        if piece.filled == 0 {
            self.pieces.remove(&number);
        }
        before
    }

    /// All filled slots in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Slot> {
        self.pieces.values().flat_map(|piece| piece.slots.iter().flatten())
    }
}

impl Piece {
    fn empty() -> Piece {
        Piece { slots: vec![None; PIECE as usize].into_boxed_slice(), filled: 0 }
    }
}
