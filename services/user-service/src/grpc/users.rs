//! The resources that the calls share.

use contracts::user::v1::User as UserMessage;
use runtime::PageTokens;

use crate::commands::Commands;
use crate::convert;
use crate::requests::Requests;
use crate::user::User;

pub struct Users {
    pub(super) commands: Commands,
    pub(super) requests: Requests,
    pub(super) page_tokens: PageTokens,
}

impl Users {
    pub fn new(commands: Commands, requests: Requests, page_tokens: PageTokens) -> Self {
        Self {
            commands,
            requests,
            page_tokens,
        }
    }

    pub(super) fn shown(&self, user: &User) -> UserMessage {
        convert::user(user, self.commands.role_of(user))
    }
}
