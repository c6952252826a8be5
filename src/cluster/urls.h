// URLs of members as flags and requests give them. Source: pkg/types/urls.go, urlsmap.go,
// etcdserver/config.go; the texts of the errors are etcd's. Pure functions.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cluster/member.h"

namespace quorate::cluster {

// One URL: http, https, unix or unixs, "host:port", no path. Gives it back in the form in which etcd keeps it
// (white space around it removed, scheme in lower case).
StatusOr<std::string> ParseUrl(std::string_view text);
// At least one; ascending.
StatusOr<std::vector<std::string>> ParseUrls(const std::vector<std::string>& texts);
// "http://a:1,http://b:2": the value of a URL flag.
StatusOr<std::vector<std::string>> ParseUrlList(std::string_view text);

// --initial-cluster: names with their URLs, ascending.
using InitialCluster = std::map<std::string, std::vector<std::string>>;
// "a=http://x:1,a=http://y:2,b=http://z:3".
StatusOr<InitialCluster> ParseInitialCluster(std::string_view text);
std::string InitialClusterText(const InitialCluster& cluster);

// "host:port" with a host name to one with an address; may wait for the network, so not on the core's thread.
// Not asked for addresses, localhost and unix sockets.
using Resolver = std::function<StatusOr<std::string>(std::string_view host_port)>;
// OK when both are the same URLs, as written or (given a resolver) after resolution; else what differs.
Status UrlsEqual(std::vector<std::string> a, std::vector<std::string> b, const Resolver& resolve);

// What must hold before a new cluster is made: the own name and URLs are in it, no URL twice.
Status VerifyBootstrap(const InitialCluster& cluster, const std::string& name,
                       const std::vector<std::string>& advertised_peer_urls, const Resolver& resolve);
// Before joining an existing one.
Status VerifyJoinExisting(const InitialCluster& cluster, const std::string& name);

// The initial members, ascending by ID. An error when two have the same ID.
StatusOr<std::vector<Member>> InitialMembers(const InitialCluster& cluster, std::string_view token);

// Matches the members of an existing cluster with the configured ones by their peer URLs, and gives the
// members with the existing IDs and the configured names. Source: membership.ValidateClusterAndAssignIDs.
StatusOr<std::vector<Member>> AssignIds(const InitialCluster& cluster, const std::vector<Member>& existing,
                                        const Resolver& resolve);

}  // namespace quorate::cluster
