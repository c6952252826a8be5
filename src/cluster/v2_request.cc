#include "cluster/v2_request.h"

#include <algorithm>
#include <array>

#include "base/wire.h"
#include "cluster/member.h"

namespace quorate::cluster {
namespace {

using wire::Type;

constexpr std::string_view kMembersPrefix = "/0/members/";
constexpr std::string_view kAttributesSuffix = "/attributes";
constexpr std::string_view kVersionPath = "/0/version";
constexpr std::array<std::string_view, 6> kMethods = {"PUT", "SYNC", "QGET", "POST", "DELETE", "GET"};

bool IsMethod(std::string_view text) {
  return std::find(kMethods.begin(), kMethods.end(), text) != kMethods.end();
}

}  // namespace

std::string EncodeV2Request(const V2Request& request) {
  std::string out;
  wire::AppendVarintField(out, 1, request.id);
  wire::AppendBytesField(out, 2, request.method);
  wire::AppendBytesField(out, 3, request.path);
  wire::AppendBytesField(out, 4, request.value);
  wire::AppendVarintField(out, 5, request.dir ? 1 : 0);
  wire::AppendBytesField(out, 6, request.prev_value);
  wire::AppendVarintField(out, 7, request.prev_index);
  if (request.prev_exist) wire::AppendVarintField(out, 8, *request.prev_exist ? 1 : 0);
  wire::AppendVarintField(out, 9, static_cast<uint64_t>(request.expiration));
  wire::AppendVarintField(out, 10, request.wait ? 1 : 0);
  wire::AppendVarintField(out, 11, request.since);
  wire::AppendVarintField(out, 12, request.recursive ? 1 : 0);
  wire::AppendVarintField(out, 13, request.sorted ? 1 : 0);
  wire::AppendVarintField(out, 14, request.quorum ? 1 : 0);
  wire::AppendVarintField(out, 15, static_cast<uint64_t>(request.time));
  wire::AppendVarintField(out, 16, request.stream ? 1 : 0);
  if (request.refresh) wire::AppendVarintField(out, 17, *request.refresh ? 1 : 0);
  return out;
}

StatusOr<V2Request> DecodeV2Request(std::string_view data) {
  V2Request request;
  wire::Reader reader(data);
  while (reader.Next()) {
    const uint32_t field = reader.field();
    const bool text = field == 2 || field == 3 || field == 4 || field == 6;
    if (field <= 17 && reader.type() != (text ? Type::kBytes : Type::kVarint)) {
      return DataLoss("malformed v2 Request message: field " + std::to_string(field) + " has a wrong type");
    }
    const bool on = reader.varint() != 0;
    switch (field) {
      case 1:
        request.id = reader.varint();
        break;
      case 2:
        request.method = reader.bytes();
        break;
      case 3:
        request.path = reader.bytes();
        break;
      case 4:
        request.value = reader.bytes();
        break;
      case 5:
        request.dir = on;
        break;
      case 6:
        request.prev_value = reader.bytes();
        break;
      case 7:
        request.prev_index = reader.varint();
        break;
      case 8:
        request.prev_exist = on;
        break;
      case 9:
        request.expiration = reader.int64();
        break;
      case 10:
        request.wait = on;
        break;
      case 11:
        request.since = reader.varint();
        break;
      case 12:
        request.recursive = on;
        break;
      case 13:
        request.sorted = on;
        break;
      case 14:
        request.quorum = on;
        break;
      case 15:
        request.time = reader.int64();
        break;
      case 16:
        request.stream = on;
        break;
      case 17:
        request.refresh = on;
        break;
      default:
        break;
    }
  }
  if (!reader.ok()) return DataLoss("malformed v2 Request message");
  return request;
}

bool IsV2Request(std::string_view entry_data) {
  wire::Reader reader(entry_data);
  if (!reader.Next()) return false;
  if (reader.Is(1, Type::kVarint) && !reader.Next()) return false;
  return reader.Is(2, Type::kBytes) && IsMethod(reader.bytes());
}

StatusOr<V2Action> ClassifyV2Request(const V2Request& request, uint64_t* member_id) {
  if (request.method == "SYNC" || request.method == "QGET") return V2Action::kIgnore;
  const std::string_view path = request.path;
  const bool plain = request.method == "PUT" && !request.prev_exist && request.prev_index == 0 &&
                     request.prev_value.empty() && !request.dir;
  if (plain && path == kVersionPath) return V2Action::kSetClusterVersion;
  if (plain && path.starts_with(kMembersPrefix) && path.ends_with(kAttributesSuffix) &&
      path.size() > kMembersPrefix.size() + kAttributesSuffix.size()) {
    const auto id = ParseId(
        path.substr(kMembersPrefix.size(), path.size() - kMembersPrefix.size() - kAttributesSuffix.size()));
    if (id.ok()) {
      *member_id = *id;
      return V2Action::kSetAttributes;
    }
  }
  return FailedPrecondition(
      "the log holds a request of the v2 API (" + request.method + " " + request.path +
      "), which is not supported: nothing was applied or changed; move the v2 data to v3 with etcd 3.4's "
      "`etcdctl migrate`, "
      "or delete it there, turn --enable-v2 off, and take a new snapshot before this member is replaced");
}

V2Request PublishAttributesRequest(uint64_t request_id, uint64_t member_id, std::string attributes_json) {
  V2Request request;
  request.id = request_id;
  request.method = "PUT";
  request.path = std::string(kMembersPrefix) + IdText(member_id) + std::string(kAttributesSuffix);
  request.value = std::move(attributes_json);
  return request;
}

V2Request SetClusterVersionRequest(uint64_t request_id, Version version) {
  V2Request request;
  request.id = request_id;
  request.method = "PUT";
  request.path = kVersionPath;
  request.value = VersionText(version);
  return request;
}

}  // namespace quorate::cluster
