//! A mail folder on a full disk: a mail counts as sent only if its file is complete.

use std::sync::Arc;

use notification_service::sender::Files;
use testkit::{SmallDisk, StoreKind, eventually_is};

use crate::mails::{Folder, parsed};
use crate::post::Post;

#[tokio::test]
async fn a_mail_that_finds_no_room_is_sent_once_there_is_some() {
    let test = "a_mail_that_finds_no_room_is_sent_once_there_is_some";
    let Some(disk) = SmallDisk::for_test(1, test) else {
        return;
    };
    let mails = Folder::new(disk.path().to_owned());
    let files = || async { Arc::new(Files::open(disk.path()).await.unwrap()) };
    let mut post = Post::new(StoreKind::Sqlite).await;
    let id = post.write().await.to_string();
    disk.fill();
    let filled = mails.names();
    post.start(files().await).await;
    let failed = "state = 'pending' AND failure LIKE 'the mail folder could not be written%'";
    eventually_is("the attempt fails", 1, async || post.count(failed).await).await;
    assert_eq!(mails.names(), filled, "a part of a mail is left");

    post.die().await;
    disk.free();
    // As after the retry pause.
    post.execute("UPDATE notification SET due_at_ms = 0").await;
    post.start(files().await).await;
    post.come_to("sent", 1).await;
    assert_eq!(mails.names(), [format!("{id}.eml")]);
    let bytes = mails.bytes(&id);
    assert_eq!(parsed(&bytes).subject(), Some("Welcome"));
    post.end().await;
}
