//! The answers of others: a query to Prometheus, an HTTP endpoint, a command. They give a number, and the user says what it may be.

use serde::{Deserialize, Serialize};

use super::Outcome;

/// What a value may be, ends included. At least one of them must be given.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// The smallest that is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest that is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// Bounds are held against each other only as parts of specifications, and none of those has a bound that is not a number.
impl Eq for Bounds {}

impl Bounds {
    /// Whether any value could be judged by them: one is given, none is not a number, and they do not cross.
    pub fn sensible(&self) -> bool {
        let (low, high) = (self.min.unwrap_or(f64::NEG_INFINITY), self.max.unwrap_or(f64::INFINITY));
        (self.min.is_some() || self.max.is_some()) && low <= high
    }

    /// Judges one answer. No answer, and one that is no finite number, says nothing: neither good nor bad.
    pub fn judge(&self, value: Option<f64>) -> Outcome {
        match value.filter(|value| value.is_finite() && self.sensible()) {
            None => Outcome::NotEnoughData,
            Some(value) if self.min.is_some_and(|min| value < min) => Outcome::Fail,
            Some(value) if self.max.is_some_and(|max| value > max) => Outcome::Fail,
            Some(_) => Outcome::Pass,
        }
    }

    /// The same in words, after a name.
    pub fn explain(&self, value: Option<f64>) -> String {
        let value_text = value.map_or_else(|| "no answer".to_owned(), |value| value.to_string());
        let allowed = match (self.min, self.max) {
            (Some(min), Some(max)) => format!("from {min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "nothing, no bound was given".to_owned(),
        };
        format!("{value_text}, allowed is {allowed} → {}", self.judge(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Seen to fail with `is_finite` taken out: an empty rate is NaN in Prometheus, and NaN is above no bound, so it passed.
    #[test]
    fn what_is_no_number_says_nothing() {
        use Outcome::{Fail, NotEnoughData, Pass};
        let bounds = |min, max| Bounds { min, max };
        let at_most = bounds(None, Some(0.5));
        let table = [
            (at_most, Some(0.5), Pass),
            (at_most, Some(0.500_001), Fail),
            (at_most, Some(-3.0), Pass),
            (at_most, None, NotEnoughData),
            (at_most, Some(f64::NAN), NotEnoughData),
            (at_most, Some(f64::INFINITY), NotEnoughData),
            (bounds(Some(2.0), None), Some(1.9), Fail),
            (bounds(Some(2.0), None), Some(f64::NEG_INFINITY), NotEnoughData),
            (bounds(Some(1.0), Some(2.0)), Some(1.5), Pass),
            (bounds(Some(2.0), Some(1.0)), Some(1.5), NotEnoughData),
            (bounds(None, Some(f64::NAN)), Some(1.5), NotEnoughData),
            (bounds(None, None), Some(1.5), NotEnoughData),
        ];
        for (bounds, value, outcome) in table {
            assert_eq!(bounds.judge(value), outcome, "{value:?} by {bounds:?}");
        }
        assert_eq!(at_most.explain(Some(0.7)), "0.7, allowed is at most 0.5 → fail");
        assert_eq!(at_most.explain(None), "no answer, allowed is at most 0.5 → not enough data");
    }
}
