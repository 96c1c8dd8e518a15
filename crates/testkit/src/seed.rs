//! The one source of chance. Everything that is drawn in a simulation is drawn from here, in an order that the run itself
//! decides, so that the same seed gives the same run.

/// A stream of numbers (SplitMix64) that a single number decides.
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// The stream of this number.
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds are spread far apart, or their first draws would look alike.
        let mut stream = Self(seed.wrapping_mul(0xA076_1D64_78BD_642F) ^ 0xE703_7ED1_A0B4_28DB);
        stream.draw();
        stream
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.draw() % (high - low + 1)
    }

    /// True this many times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.draw() % 1000 < per_mille
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let at = self.between(0, choices.len() as u64 - 1);
        &choices[usize::try_from(at).expect("an index of a slice fits")]
    }

    /// A stream of its own, so that drawing more here does not change what is drawn there.
    pub fn fork(&mut self) -> Self {
        Self::new(self.draw())
    }
}
