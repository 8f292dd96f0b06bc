//! Medians and quantiles.

/// The value that a share `q` of `values` does not exceed; not a number if there are none.
pub(crate) fn quantile(values: &mut [f64], q: f64) -> f64 {
    let last = values.len().saturating_sub(1);
    let rank = (last as f64 * q).round() as usize;
    if values.is_empty() {
        return f64::NAN;
    }
    *values.select_nth_unstable_by(rank, f64::total_cmp).1
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(&mut values.to_vec(), 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_few_values() {
        let mut values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(quantile(&mut values, 0.5), 3.0);
        assert_eq!(quantile(&mut values, 0.0), 1.0);
        assert_eq!(quantile(&mut values, 0.99), 5.0);
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[7.0]), 7.0);
    }
}
