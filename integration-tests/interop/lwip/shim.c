/* lwIP on a TUN interface: wrappers for those parts of lwIP that are macros and structures in C. Sockets are
 * used directly; `lwip_ffi.rs` declares the functions of lwIP and of this file. lwip_peer_init() must be called
 * before all others. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/sockets.h>
#include <lwip/tcpip.h>

/* The time limit of an accept; all other calls end when the interface is removed. */
#define ACCEPT_SECONDS 10

/* An interface, and the descriptor of its TUN interface, which its owner closes. */
struct lwip_peer {
    struct netif netif;
    int tun;
};

/* Starts lwIP's thread. Must be called exactly once in a process. */
void lwip_peer_init(void)
{
    tcpip_init(NULL, NULL);
}

/* Sends a packet from lwIP. A TUN interface requires one complete packet for each write. */
static err_t output(struct netif *netif, struct pbuf *packet, const ip4_addr_t *next_hop)
{
    struct lwip_peer *peer = netif->state;
    unsigned char bytes[65535];
    u16_t length = pbuf_copy_partial(packet, bytes, packet->tot_len, 0);

    (void)next_hop;
    return write(peer->tun, bytes, length) == length ? ERR_OK : ERR_IF;
}

static err_t set_up(struct netif *netif)
{
    netif->name[0] = 't';
    netif->name[1] = 'n';
    netif->output = output;
    netif->flags |= NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

/* An interface with this address and netmask (both in network order), or NULL. */
struct lwip_peer *lwip_peer_attach(int tun, uint32_t address, uint32_t netmask, uint16_t mtu)
{
    ip4_addr_t own = {.addr = address}, mask = {.addr = netmask}, gateway = {.addr = 0};
    struct lwip_peer *peer = calloc(1, sizeof *peer);
    struct netif *added;

    if (peer == NULL)
        return NULL;
    peer->tun = tun;
    LOCK_TCPIP_CORE();
    added = netif_add(&peer->netif, &own, &mask, &gateway, peer, set_up, ip_input);
    if (added != NULL) {
        peer->netif.mtu = mtu;
        netif_set_up(&peer->netif);
    }
    UNLOCK_TCPIP_CORE();
    if (added == NULL) {
        free(peer);
        return NULL;
    }
    return peer;
}

/* Passes a received packet to lwIP. It is processed under lwIP's lock before the return, and not queued by
 * tcpip_input(), so that no packet is dropped because of a full queue or outlives the interface. */
void lwip_peer_input(struct lwip_peer *peer, const void *bytes, uint16_t length)
{
    /* Not PBUF_POOL: Debian's library (2.1.3) allocates 592 bytes for such a buffer and uses 1536 of them. */
    struct pbuf *packet = pbuf_alloc(PBUF_RAW, length, PBUF_RAM);

    if (packet == NULL)
        return;
    LOCK_TCPIP_CORE();
    if (pbuf_take(packet, bytes, length) != ERR_OK || peer->netif.input(packet, &peer->netif) != ERR_OK)
        pbuf_free(packet);
    UNLOCK_TCPIP_CORE();
}

/* Removes the interface, and aborts the connections of its address, whose blocked calls return. */
void lwip_peer_detach(struct lwip_peer *peer)
{
    LOCK_TCPIP_CORE();
    netif_remove(&peer->netif);
    UNLOCK_TCPIP_CORE();
    free(peer);
}

static struct sockaddr_in name_of(uint32_t address, uint16_t port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};

    name.sin_addr.s_addr = address;
    return name;
}

/* Closes a socket after an error, and keeps errno. Returns -1. */
static int give_up(int socket)
{
    int why = errno;

    lwip_close(socket);
    errno = why;
    return -1;
}

/* A socket that listens on this address (in network order) and port (in the host's), or -1. */
int lwip_peer_listen(uint32_t address, uint16_t port)
{
    struct sockaddr_in name = name_of(address, port);
    struct timeval limit = {.tv_sec = ACCEPT_SECONDS};
    int socket = lwip_socket(AF_INET, SOCK_STREAM, 0);

    if (socket < 0)
        return -1;
    if (lwip_setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0
        || lwip_bind(socket, (struct sockaddr *)&name, sizeof name) < 0
        || lwip_listen(socket, 1) < 0)
        return give_up(socket);
    return socket;
}

/* A socket connected to this address (in network order) and port (in the host's), or -1. */
int lwip_peer_connect(uint32_t address, uint16_t port)
{
    struct sockaddr_in name = name_of(address, port);
    int socket = lwip_socket(AF_INET, SOCK_STREAM, 0);

    if (socket < 0)
        return -1;
    if (lwip_connect(socket, (struct sockaddr *)&name, sizeof name) < 0)
        return give_up(socket);
    return socket;
}
