//! The service itself: orders in memory. Every method knows its caller, and no stream outlasts its key.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keygate::Authorized;
use keygate::tonic::{RequestExt, until_ended};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::ORDERS_WRITE;
use super::orders::orders_server::Orders;
use super::orders::{All, Count, Note, Order, OrderId};

/// Clones are one book.
#[derive(Clone, Default)]
pub(crate) struct OrderBook(Arc<Mutex<Vec<Order>>>);

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl OrderBook {
    pub(crate) fn count(&self, owner: &str) -> usize {
        self.of(owner).len()
    }

    fn of(&self, owner: &str) -> Vec<Order> {
        let orders = self.orders();
        let own = orders.iter().filter(|order| order.owner == owner);
        own.cloned().collect()
    }

    fn add(&self, order: Order, owner: &str) -> Order {
        let mut orders = self.orders();
        let order = Order {
            id: orders.len() as u64 + 1,
            owner: owner.to_owned(),
            ..order
        };
        orders.push(order.clone());
        order
    }

    fn orders(&self) -> MutexGuard<'_, Vec<Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl Orders for OrderBook {
    async fn create(&self, request: Request<Order>) -> Result<Response<Order>, Status> {
        let owner = request.principal()?.owner().to_owned();
        Ok(Response::new(self.add(request.into_inner(), &owner)))
    }

    async fn get(&self, request: Request<OrderId>) -> Result<Response<Order>, Status> {
        let own = self.of(request.principal()?.owner());
        let wanted = request.into_inner().id;
        let order = own.into_iter().find(|order| order.id == wanted);
        let order = order.ok_or_else(|| Status::not_found(format!("there is no order {wanted}")));
        Ok(Response::new(order?))
    }

    type WatchStream = Replies<Order>;

    async fn watch(&self, request: Request<All>) -> Result<Response<Replies<Order>>, Status> {
        let caller = request.principal()?;
        let own = self.of(caller.owner());
        let replies = tokio_stream::iter(own.into_iter().map(Ok));
        Ok(Response::new(Box::pin(until_ended(&caller, replies))))
    }

    /// What a method needs can also be asked where it is written.
    async fn upload(&self, request: Request<Streaming<Order>>) -> Result<Response<Count>, Status> {
        let caller: Authorized<ORDERS_WRITE> = request.authorized()?;
        let mut orders = pin!(until_ended(&caller, request.into_inner()));
        let mut count = Count::default();
        while let Some(order) = orders.next().await {
            self.add(order?, caller.owner());
            count.orders += 1;
        }
        Ok(Response::new(count))
    }

    type ChatStream = Replies<Note>;

    async fn chat(
        &self,
        request: Request<Streaming<Note>>,
    ) -> Result<Response<Replies<Note>>, Status> {
        let caller = request.principal()?;
        let owner = caller.owner().to_owned();
        let replies = request.into_inner().map(move |note| {
            let text = format!("{owner} says {}", note?.text);
            Ok(Note { text })
        });
        Ok(Response::new(Box::pin(until_ended(&caller, replies))))
    }
}
