//! Storage for records named by small numbers. A generation number distinguishes a record from a
//! later one at the same index.

/// See the module.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Stores `value`; returns its index and generation.
    pub(crate) fn insert(&mut self, value: T) -> (u32, u32) {
        self.insert_with(|_| value)
    }

    /// Stores the value that `value` makes of the index; returns the index and generation.
    pub(crate) fn insert_with(&mut self, value: impl FnOnce(u32) -> T) -> (u32, u32) {
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.value = Some(value(index));
            return (index, slot.generation);
        }
        let index = self.slots.len() as u32;
        self.slots.push(Slot {
            generation: 0,
            value: Some(value(index)),
        });
        (index, 0)
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let slot = self.slots.get_mut(index as usize)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        Some(value)
    }

    /// A name that no record has, had, or will have.
    pub(crate) fn unused_name(&mut self) -> (u32, u32) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                value: None,
            });
            self.slots.len() as u32 - 1
        });
        self.free.push(index);
        let unused = self.generation(index);
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.generation = unused.wrapping_add(1);
        }
        (index, unused)
    }

    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.value.as_ref()
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.value.as_mut()
    }

    /// The record of that index, if its generation is still the same.
    pub(crate) fn named(&self, index: u32, generation: u32) -> Option<&T> {
        let slot = self.slots.get(index as usize)?;
        if slot.generation == generation {
            slot.value.as_ref()
        } else {
            None
        }
    }

    pub(crate) fn named_mut(&mut self, index: u32, generation: u32) -> Option<&mut T> {
        let slot = self.slots.get_mut(index as usize)?;
        if slot.generation == generation {
            slot.value.as_mut()
        } else {
            None
        }
    }

    pub(crate) fn generation(&self, index: u32) -> u32 {
        self.slots
            .get(index as usize)
            .map_or(0, |slot| slot.generation)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((index as u32, slot.value.as_ref()?)))
    }

    /// Indices in use, collected so that the records may be changed during the iteration.
    pub(crate) fn indices(&self) -> Vec<u32> {
        self.iter().map(|(index, _)| index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_name_does_not_find_a_new_record() {
        let mut slab = Slab::new();
        let (index, generation) = slab.insert('a');
        assert_eq!(slab.remove(index), Some('a'));
        let (again, newer) = slab.insert('b');
        assert_eq!(again, index);
        assert_eq!(slab.named(index, generation), None);
        assert_eq!(slab.named(index, newer), Some(&'b'));
        assert_eq!(slab.len(), 1);
        slab.remove(index);
        let (unused, third) = slab.unused_name();
        let (again, fourth) = slab.insert('c');
        assert_eq!((unused, again), (index, index));
        assert_eq!(slab.named(index, third), None);
        assert_eq!(slab.named(index, fourth), Some(&'c'));
    }
}
