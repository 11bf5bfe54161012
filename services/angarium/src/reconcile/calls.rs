//! The calls of an operator: each request with its method and its answer.

use contracts::ops::v1::ops_service_client::OpsServiceClient;
use contracts::ops::v1::{
    AcceptStateRequest, AcceptStateResponse, FindLostEventsRequest, FindLostEventsResponse,
    HandOverRequest, HandOverResponse, ListCheckpointsRequest, ListCheckpointsResponse,
    ListGapsRequest, ListGapsResponse, ListMissingEventsRequest, ListMissingEventsResponse,
    ListReceivedEventsRequest, ListReceivedEventsResponse, ListStateRequest, ListStateResponse,
    ListStoredEventsRequest, ListStoredEventsResponse, SkipGapRequest, SkipGapResponse,
};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

pub(super) type Client = OpsServiceClient<Channel>;

pub(super) trait Call: Clone {
    type Answer;

    async fn send(
        client: &mut Client,
        request: Request<Self>,
    ) -> Result<Response<Self::Answer>, Status>;
}

macro_rules! calls {
    ($($method:ident: $request:ty => $answer:ty;)*) => {$(
        impl Call for $request {
            type Answer = $answer;

            async fn send(
                client: &mut Client,
                request: Request<Self>,
            ) -> Result<Response<$answer>, Status> {
                client.$method(request).await
            }
        }
    )*};
}

calls! {
    list_stored_events: ListStoredEventsRequest => ListStoredEventsResponse;
    list_checkpoints: ListCheckpointsRequest => ListCheckpointsResponse;
    list_missing_events: ListMissingEventsRequest => ListMissingEventsResponse;
    list_gaps: ListGapsRequest => ListGapsResponse;
    hand_over: HandOverRequest => HandOverResponse;
    skip_gap: SkipGapRequest => SkipGapResponse;
    list_state: ListStateRequest => ListStateResponse;
    list_received_events: ListReceivedEventsRequest => ListReceivedEventsResponse;
    find_lost_events: FindLostEventsRequest => FindLostEventsResponse;
    accept_state: AcceptStateRequest => AcceptStateResponse;
}
