//! Medians, quantiles, and fairness.

/// The smallest value that is not exceeded by a share `q` of `values`; NaN if there are none.
pub(crate) fn quantile(values: &mut [f64], q: f64) -> f64 {
    let last = values.len().saturating_sub(1);
    let rank = (last as f64 * q).round() as usize;
    if values.is_empty() {
        return f64::NAN;
    }
    *values.select_nth_unstable_by(rank, f64::total_cmp).1
}

/// The median.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(&mut values.to_vec(), 0.5)
}

/// Jain's fairness index: 1 if all shares are equal, 1/n if one of n has everything.
pub(crate) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fairness_ranges_from_equal_shares_to_one_owner() {
        assert_eq!(jain(&[3.0; 4]), 1.0);
        assert_eq!(jain(&[0.0, 5.0, 0.0, 0.0]), 0.25);
        assert_eq!(jain(&[1.0, 3.0]), 0.8);
    }

    #[test]
    fn quantiles_of_few_values_are_exact() {
        let mut values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(quantile(&mut values, 0.5), 3.0);
        assert_eq!(quantile(&mut values, 0.0), 1.0);
        assert_eq!(quantile(&mut values, 0.99), 5.0);
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[7.0]), 7.0);
    }
}
