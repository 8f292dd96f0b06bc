//! [`TcpStream`] as a connection of tonic's server: requests carry its addresses.

use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::net::stream::TcpStream;

/// `Request::remote_addr` and `Request::local_addr` are those of the connection.
impl Connected for TcpStream {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo {
            local_addr: self.local_addr().ok(),
            remote_addr: self.peer_addr().ok(),
        }
    }
}
