//! What an operator sees of the kept messages: the original bytes and headers, and when the message failed.

use std::collections::BTreeMap;

use anyhow::Result;
use event::Message;
use messaging::dead_letters::{DeadLetter, DeadLetters};

use super::Wrongs;
use super::wrong::{Fate, Sample};

/// Each kept message is listed, with the times of its first and last failure. One of an unknown type has not failed.
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
        &format!("of {kept} kept messages {whole} have their original bytes and headers, and {timed} have the times of their failures"),
    );
    Ok(())
}

/// The message as it was sent, without the headers that the broker adds to a dead letter.
fn came(letter: &DeadLetter, fate: Fate) -> Message {
    let mut message = letter.message.clone();
    if fate == Fate::Aborts {
        message.headers.retain(|name, _| !name.contains("-death-"));
    }
    message
}
