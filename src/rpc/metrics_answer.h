// How a page of metrics is sent: as text, or compressed to clients that take it, as Prometheus does.
// Source: promhttp/http.go (gzipAccepted) of client_golang 1.14.
#pragma once

#include <string>
#include <string_view>

#include "base/env.h"
#include "net/http.h"

namespace quorate::rpc {

// Whether a client with this Accept-Encoding gets gzip: it is named in lower case, with or without a weight.
// One of 0 means no, as for promhttp since 1.20.
bool AcceptsGzip(std::string_view accept_encoding);

std::string Gzip(std::string_view text);

// Core thread only. What is compressed is so on a reader thread, and counts as the client's meanwhile.
void SendMetrics(Executor* executor, std::string page, const net::HttpRequest& request, net::HttpReply reply,
                 net::HttpHeaders headers);

}  // namespace quorate::rpc
