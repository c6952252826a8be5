// The v2-style request, etcdserverpb.Request: what etcd 3.4 and 3.5 log when a member publishes its
// attributes and when the leader sets the cluster version; and what users of the v2 API wrote. gogo,
// non-nullable: all scalars are written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "cluster/version.h"

namespace quorate::cluster {

struct V2Request {
  uint64_t id = 0;
  std::string method;
  std::string path;
  std::string value;
  bool dir = false;
  std::string prev_value;
  uint64_t prev_index = 0;
  std::optional<bool> prev_exist;
  int64_t expiration = 0;  // Nanoseconds since 1970.
  bool wait = false;
  uint64_t since = 0;
  bool recursive = false;
  bool sorted = false;
  bool quorum = false;
  int64_t time = 0;
  bool stream = false;
  std::optional<bool> refresh;

  friend bool operator==(const V2Request&, const V2Request&) = default;
};

std::string EncodeV2Request(const V2Request& request);
StatusOr<V2Request> DecodeV2Request(std::string_view data);

// Whether the data of a normal entry is a bare V2Request rather than an InternalRaftRequest: it begins with
// an ID and then a method's name, where the other has a message or nothing.
bool IsV2Request(std::string_view entry_data);

// What we do with such a request.
enum class V2Action {
  kSetAttributes,      // PUT /0/members/<id>/attributes
  kSetClusterVersion,  // PUT /0/version
  kIgnore,             // SYNC and QGET: change nothing in a store without user keys.
};
// Decides before anything is applied. FailedPrecondition for requests of the v2 API: we keep no v2 data and
// must not drop it either. *member_id is set for kSetAttributes.
StatusOr<V2Action> ClassifyV2Request(const V2Request& request, uint64_t* member_id);

// The two requests a server proposes itself. `value` of the first is AttributesJson.
V2Request PublishAttributesRequest(uint64_t request_id, uint64_t member_id, std::string attributes_json);
V2Request SetClusterVersionRequest(uint64_t request_id, Version version);

}  // namespace quorate::cluster
