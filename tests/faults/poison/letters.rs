//! What an operator finds of the messages that are kept: what came, to the byte and header, and when it has failed.

use std::collections::BTreeMap;

use anyhow::Result;
use event::Message;
use messaging::dead_letters::{DeadLetter, DeadLetters};

use super::Wrongs;
use super::wrong::{Fate, Sample};

/// Each that is kept is there, from when until when it has failed as well; where nobody knew its type, nothing has.
pub(super) async fn check(
    letters: &DeadLetters,
    samples: &[Sample],
    repaired: bool,
    wrongs: &mut Wrongs,
) -> Result<()> {
    let letters = letters.list(None, u32::MAX).await?;
    let letters: BTreeMap<&str, &DeadLetter> = letters
        .iter()
        .map(|letter| (letter.event_id.as_str(), letter))
        .collect();
    let (mut kept, mut whole, mut timed) = (0, 0, 0);
    for sample in samples {
        let fate = if repaired {
            sample.fate.mended()
        } else {
            sample.fate
        };
        if !fate.is_kept() {
            continue;
        }
        kept += 1;
        let Some(letter) = letters.get(sample.event_id.as_str()) else {
            continue;
        };
        let failed = letter.first_failed_at_ms.zip(letter.last_failed_at_ms);
        let is_timed = match failed {
            Some((first, last)) => letter.received_at_ms <= first && first <= last,
            None => letter.skipped,
        };
        let is_whole = came(letter, fate) == sample.message;
        if !is_whole || !is_timed {
            println!(
                "{}: {}: {failed:?}, {:?}",
                wrongs.title, sample.kind, letter.message.headers
            );
        }
        whole += usize::from(is_whole);
        timed += usize::from(is_timed);
    }
    wrongs.judge(
        kept > 0 && whole == kept && timed == kept && letters.len() == kept,
        &format!("of {kept} kept ones {whole} are to the byte and header as they came, and {timed} say when they failed"),
    );
    Ok(())
}

/// What came, without what the broker has added where it has given it up itself.
fn came(letter: &DeadLetter, fate: Fate) -> Message {
    let mut message = letter.message.clone();
    if fate == Fate::Aborts {
        message.headers.retain(|name, _| !name.contains("-death-"));
    }
    message
}
