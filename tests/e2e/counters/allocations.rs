//! Limits the allocations of a call.
//!
//! Everything runs on the thread of the test: the service, the driver of PostgreSQL and the client. The limit is the
//! current number plus a twentieth.

#![expect(clippy::print_stdout, reason = "for docs/benchmarks.md")]

use testkit::{Database, StoreKind};

use super::ordering::Ordering;

const CALLS: u64 = 200;

#[test]
fn place_order_stays_within_its_allocations() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    let orders = runtime.block_on(async {
        let database = Database::create(StoreKind::Postgres).await;
        let config = database.config();
        let orders = Ordering::on(database, config).await;
        orders.place("").await;
        orders
    });
    let counted = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..CALLS {
                orders.place("").await;
            }
        });
    });
    let each = counted.count_total / CALLS;
    println!("counted: PlaceOrder: {each} allocations");
    assert!(each <= LIMIT, "PlaceOrder: {each} allocations");
}

const LIMIT: u64 = 635;
