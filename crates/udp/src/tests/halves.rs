use super::*;
use crate::ReuniteError;

both_flavors!(
    halves_send_and_receive_whole_datagrams,
    halves_of_one_socket_reunite,
    halves_of_two_stacks_are_given_back,
);

fn halves_send_and_receive_whole_datagrams<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let (read, write) = socket.split();
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    let question = now(read.recv_datagram()).unwrap();
    now(write.send_datagram(&question.reply(*b"answer"))).unwrap();
    assert_eq!(sent(&engine), [b"answer"]);
}

fn halves_of_one_socket_reunite<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let (read, write) = socket.clone().split();
    drop(socket);
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    let socket = read.reunite(write.clone()).unwrap();
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"question");
    now(answer(&socket, b"answer")).unwrap();
    assert_eq!(sent(&engine), [b"answer"]);
    drop(socket);
    assert_eq!(arrive(&engine, b"question"), Received::NoListener);
}

fn halves_of_two_stacks_are_given_back<F: Flavor>() {
    let ((one, here), (other, there)) = (engine::<F>(), engine::<F>());
    let ((read, _), (_, write)) = (here.split(), there.split());
    let error = read.reunite(write).unwrap_err();
    assert!(error.to_string().contains("two stacks"));
    let ReuniteError(read, write) = error;
    assert_eq!(arrive(&one, b"question"), QUEUED);
    assert_eq!(now(read.recv_datagram()).unwrap().payload, b"question");
    now(write.send_to(b"answer", addr(SERVER), addr(CLIENT))).unwrap();
    assert_eq!(sent(&other), [b"answer"]);
}
