//! DNS as a sandbox sees it: every name has an IPv4 address and nothing else. No question leaves the host.

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::names::Names;

/// Seconds for which an answer may be kept. It never changes while the sandbox lives.
const TTL: u32 = 300;

/// How many questions over TCP are open at the same time, and for how long.
const CONNECTIONS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

/// The answer to a question; nothing to what is none.
pub fn answer(question: &[u8], names: &Names) -> Option<Vec<u8>> {
    let asked = Message::from_vec(question).ok()?;
    if asked.metadata.message_type != MessageType::Query {
        return None;
    }
    let (id, code) = (asked.metadata.id, asked.metadata.op_code);
    let [query] = &asked.queries[..] else {
        return Message::error_msg(id, code, ResponseCode::FormErr).to_vec().ok();
    };
    if code != OpCode::Query {
        return Message::error_msg(id, code, ResponseCode::NotImp).to_vec().ok();
    }
    let mut answer = Message::response(id, code);
    answer.metadata.recursion_desired = asked.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    let reverse = query.query_type() == RecordType::PTR;
    match names.address(&query.name().to_ascii()).filter(|_| !reverse) {
        Some(address) if query.query_type() == RecordType::A => {
            answer.add_answer(Record::from_rdata(query.name().clone(), TTL, RData::A(A(address))));
        }
        // The name is there, without what was asked for.
        Some(_) => {}
        None => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    answer.to_vec().ok()
}

/// Answers over UDP, until dropped.
pub async fn serve_udp(socket: UdpSocket, names: Arc<Names>) {
    let mut question = [0; 4096];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut question).await else { continue };
        if let Some(answer) = answer(&question[..length], &names) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// Answers over TCP, until dropped.
pub async fn serve_tcp(listener: TcpListener, names: Arc<Names>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let names = names.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(PATIENCE, talk(stream, &names)).await;
            drop(place);
        });
    }
}

async fn talk(mut stream: TcpStream, names: &Names) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut question = vec![0; length.into()];
        stream.read_exact(&mut question).await?;
        let Some(answer) = answer(&question, names) else { return Ok(()) };
        stream.write_u16(answer.len() as u16).await?;
        stream.write_all(&answer).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::op::Query;
    use hickory_proto::rr::Name;

    use super::*;

    fn ask(names: &Names, name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        Message::from_vec(&answer(&message.to_vec().unwrap(), names).unwrap()).unwrap()
    }

    #[test]
    fn every_name_has_an_address_here_and_no_other() {
        let names = Names::default();
        let answer = ask(&names, "api.stripe.com.", RecordType::A);
        assert_eq!(answer.answers.len(), 1);
        assert_eq!(answer.answers[0].data, RData::A(A(Ipv4Addr::new(127, 77, 0, 1))));
        for kind in [RecordType::AAAA, RecordType::HTTPS, RecordType::TXT, RecordType::MX] {
            let answer = ask(&names, "api.stripe.com.", kind);
            assert_eq!((answer.answers.len(), answer.metadata.response_code), (0, ResponseCode::NoError), "{kind}");
        }
        let reverse = ask(&names, "1.0.77.127.in-addr.arpa.", RecordType::PTR);
        assert_eq!(reverse.metadata.response_code, ResponseCode::NXDomain);
    }

    #[test]
    fn what_is_no_question_gets_no_answer() {
        let names = Names::default();
        assert_eq!(answer(b"", &names), None);
        assert_eq!(answer(&[0xff; 512], &names), None);
        let reply = Message::response(7, OpCode::Query).to_vec().unwrap();
        assert_eq!(answer(&reply, &names), None);
    }
}
