// How a client connects, and what one call wants. Durations of zero mean "none", unless said otherwise; those
// of more than a hundred years do, too.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::client {

// TLS is used for endpoints with https:// or unixs://, and, where these options are given, for those without
// a scheme (but see Options::tls_without_scheme). Files are PEM; they are read again every few seconds, so
// that renewed certificates are used without a restart.
struct TlsOptions {
  std::string ca_file = {};    // Empty: the system's.
  std::string cert_file = {};  // The client's own certificate with its chain; with key_file or not at all.
  std::string key_file = {};
  std::string server_name =
      {};  // The name that the server's certificate must hold; empty: the endpoint's host.
  bool insecure_skip_verify = false;  // Believe any certificate. For trials only.
};

struct Options {
  // "host:port", "http://host:port", "https://host:port", "unix:///path", "unixs:///path". At least one.
  std::vector<std::string> endpoints = {};
  std::optional<TlsOptions> tls = {};
  // Whether endpoints without a scheme use TLS where `tls` is given.
  bool tls_without_scheme = true;

  // Authentication, when both are given. The token is fetched by Connect, and again when the server calls it
  // invalid.
  std::string username = {};
  std::string password = {};
  // Sent with each call instead, for servers that believe signed tokens (JWT) of somebody else's making.
  std::string token = {};

  // The bound of one attempt to connect, and of what Connect itself waits for.
  std::chrono::milliseconds dial_timeout{5000};
  // Whether Connect waits until an endpoint is connected. Else the first call does.
  bool wait_for_connection = false;
  // Of a call that gives no timeout of its own.
  std::chrono::milliseconds request_timeout{5000};
  // A read that an endpoint has not answered by then is asked of the next one. Zero: only request_timeout
  // counts.
  std::chrono::milliseconds read_attempt_timeout{0};

  // A connection in use is pinged when nothing came for keepalive_time (at least 10 s, as servers insist),
  // and given up when the ping is not answered within keepalive_timeout.
  std::chrono::milliseconds keepalive_time{10000};
  std::chrono::milliseconds keepalive_timeout{5000};
  bool keepalive_without_calls = false;

  // How often the endpoints are replaced by those that the cluster's members advertise. Zero: never.
  std::chrono::milliseconds auto_sync_interval{0};

  // Of one message, in bytes; -1: no limit.
  int max_send_bytes = 2 * 1024 * 1024;
  int max_receive_bytes = -1;

  // Calls that may be retried are tried this often; between rounds over a majority of the endpoints they wait
  // retry_wait, give or take the fraction retry_jitter.
  int max_attempts = 100;
  std::chrono::milliseconds retry_wait{25};
  double retry_jitter = 0.1;

  // What a watch may hold that its reader has not taken, in bytes. Beyond, the watch is suspended at the
  // server and goes on from where it was once the reader has caught up.
  size_t watch_buffer_bytes = size_t{64} * 1024 * 1024;

  // Whether the variables http_proxy and the like are heeded.
  bool use_http_proxy = false;

  // Told what the client does by itself: retries, new connections of watches, endpoints that changed. Called
  // on the client's thread; must not block. Never told keys, values or secrets.
  std::function<void(std::string_view)> log = {};
};

struct CallOptions {
  // Of the call with all its retries. Unset: Options::request_timeout. Zero: none. Negative: it is over
  // already, and the call fails with kDeadlineExceeded.
  std::optional<std::chrono::milliseconds> timeout = {};
  // Fail with "etcdserver: no leader" at a member that knows none, instead of waiting for one.
  bool require_leader = false;
  // Fail at once when no endpoint can be reached, instead of waiting for one.
  bool fail_fast = false;
  // This call may be retried like a read, though it writes: the caller knows that doing it twice does no
  // harm.
  bool repeatable = false;
  // Ask this endpoint only, listed or not. Empty: any.
  std::string endpoint = {};
  // Ends the call with kCancelled. One that was stopped before it was sent is not sent.
  std::stop_token stop = {};
};

}  // namespace quorate::client
