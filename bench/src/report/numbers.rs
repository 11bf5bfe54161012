//! Figures of several rounds as table cells. Pure.

/// The median, and the range if there are several values.
pub(crate) fn cell(values: &[f64], digits: usize) -> String {
    match (median(values), values.len()) {
        (None, _) => "–".to_owned(),
        (Some(only), 1) => format!("{only:.digits$}"),
        (Some(median), _) => {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
        }
    }
}

/// The first system's median divided by the second's.
pub(super) fn quotient(cells: &[Vec<f64>]) -> String {
    match (
        cells.first().and_then(|ours| median(ours)),
        cells.get(1).and_then(|floor| median(floor)),
    ) {
        (Some(ours), Some(floor)) if floor > 0.0 => format!("{:.2}", ours / floor),
        _ => "–".to_owned(),
    }
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_cell_shows_the_spread_of_several_rounds() {
        assert_eq!(cell(&[10.0, 30.0, 20.0], 0), "20 (10 to 30)");
        assert_eq!(cell(&[1.25], 1), "1.2");
        assert_eq!(cell(&[], 1), "–");
    }

    #[test]
    fn the_ratio_needs_both_systems() {
        assert_eq!(quotient(&[vec![1.0], vec![4.0]]), "0.25");
        assert_eq!(quotient(&[vec![1.0], vec![]]), "–");
    }
}
