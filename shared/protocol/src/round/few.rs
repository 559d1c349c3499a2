//! A map of a few entries: a sorted list that takes no more room than it needs. An agent keeps some
//! of these for each of thousands of tasks, and most of them hold one entry or none.

/// A map whose entries lie in a list, in the order of their keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Few<K, V>(Vec<(K, V)>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Few<K, V> {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }
    /// Number of entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether it has no entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// All entries by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> + Clone {
        self.0.iter().map(|(key, value)| (key, value))
    }
    /// All entries by key, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }
    /// All keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> + Clone {
        self.0.iter().map(|(key, _)| key)
    }
    /// All values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> + Clone {
        self.0.iter().map(|(_, value)| value)
    }
    /// Keeps what fits.
    pub fn retain(&mut self, mut fits: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| fits(key, value));
    }
}

impl<K: Ord, V> Few<K, V> {
    fn find(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(it, _)| it.cmp(key))
    }
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.find(key).ok().map(|at| &self.0[at].1)
    }
    /// The value of a key, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).ok().map(|at| &mut self.0[at].1)
    }
    /// Whether the key is there.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }
    /// Puts a value in, instead of an older one of the same key.
    pub fn insert(&mut self, key: K, value: V) {
        match self.find(&key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.put(at, key, value),
        }
    }
    /// The value of a key, which begins here if it was not there.
    pub fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let at = match self.find(&key) {
            Ok(at) => at,
            Err(at) => {
                self.put(at, key, V::default());
                at
            }
        };
        &mut self.0[at].1
    }
    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }

    fn put(&mut self, at: usize, key: K, value: V) {
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(self.0.len().max(1));
        }
        self.0.insert(at, (key, value));
    }
}

impl<K: Ord, V> core::ops::Index<&K> for Few<K, V> {
    type Output = V;
    fn index(&self, key: &K) -> &V {
        &self.0[self.find(key).unwrap_or(usize::MAX)].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_behaves_as_a_sorted_map() {
        let (mut few, mut plain) = (Few::new(), std::collections::BTreeMap::new());
        for (n, key) in [5_u32, 1, 9, 5, 3, 1, 7].into_iter().enumerate() {
            few.insert(key, n);
            plain.insert(key, n);
        }
        *few.or_default(4) += 2;
        *plain.entry(4).or_default() += 2;
        assert_eq!((few.remove(&9), few.remove(&8)), (plain.remove(&9), None));
        few.retain(|&key, _| key != 3);
        plain.retain(|&key, _| key != 3);
        assert!(few.iter().eq(plain.iter()) && few.len() == plain.len() && !few.is_empty());
        assert!(few.keys().eq(plain.keys()) && few.values().eq(plain.values()));
        assert_eq!(few.get_mut(&2), None);
        assert_eq!((few.get(&5), few[&1]), (plain.get(&5), plain[&1]));
        assert!(few.contains_key(&7) && few.iter_mut().all(|(_, it)| *it < 7));
    }
}
