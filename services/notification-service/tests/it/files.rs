//! A folder that accepts several mails at the same time.

use notification_service::mail::Mail;
use notification_service::sender::{Files, MailSender as _};

use crate::mails::Folder;
use crate::smtp::mail;

#[tokio::test]
async fn a_file_that_cannot_be_written_takes_no_other_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::open(folder.path()).await.unwrap();
    let mails: Vec<Mail> = (0..8).map(|_| mail()).collect();
    // A folder blocks the name of the first file.
    let taken = format!("{}.eml", mails[0].notification_id);
    std::fs::create_dir(folder.path().join(&taken)).unwrap();
    let sent = futures::future::join_all(mails.iter().map(|mail| files.send(mail))).await;
    assert!(sent[0].is_err());
    assert!(sent[1..].iter().all(Result::is_ok), "{sent:?}");
    let mut expected: Vec<String> = mails
        .iter()
        .map(|mail| format!("{}.eml", mail.notification_id))
        .collect();
    expected.sort();
    let folder = Folder::new(folder.path().to_owned());
    assert_eq!(folder.names(), expected);
    for mail in &mails[1..] {
        assert_eq!(folder.bytes(&mail.notification_id.to_string()), mail.bytes);
    }
}

#[tokio::test]
async fn a_caller_that_is_cut_off_takes_no_other_mail_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::open(folder.path()).await.unwrap();
    let (cut_off, other) = (mail(), mail());
    {
        let mut sending = std::pin::pin!(files.send(&cut_off));
        assert!(futures::poll!(&mut sending).is_pending());
    }
    files.send(&other).await.unwrap();
    let folder = Folder::new(folder.path().to_owned());
    assert_eq!(folder.names(), [format!("{}.eml", other.notification_id)]);
}
