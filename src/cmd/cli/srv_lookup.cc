#include "cmd/cli/srv_lookup.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>
#include <utility>

namespace quorate::cmd {
namespace {

constexpr int kAnswerBytesMax = 64 * 1024;

}  // namespace

StatusOr<std::vector<SrvRecord>> LookupSrv(const std::string& name) {
  std::vector<unsigned char> answer(kAnswerBytesMax);
  const int length = res_query(name.c_str(), ns_c_in, ns_t_srv, answer.data(), kAnswerBytesMax);
  if (length < 0) return NotFound("lookup " + name + ": " + hstrerror(h_errno));
  ns_msg message;
  if (ns_initparse(answer.data(), length, &message) != 0)
    return Unavailable("lookup " + name + ": bad answer");
  struct Found {
    uint16_t priority;
    uint16_t weight;
    SrvRecord record;
  };
  const auto number = [](const unsigned char* at) { return static_cast<uint16_t>(ns_get16(at)); };
  std::vector<Found> found;
  for (int i = 0; i < ns_msg_count(message, ns_s_an); ++i) {
    ns_rr rr;
    constexpr int kFixedBytes = 6;  // Priority, weight, port.
    if (ns_parserr(&message, ns_s_an, i, &rr) != 0 || ns_rr_type(rr) != ns_t_srv ||
        ns_rr_rdlen(rr) <= kFixedBytes) {
      continue;
    }
    char target[NS_MAXDNAME];
    if (dn_expand(ns_msg_base(message), ns_msg_end(message), ns_rr_rdata(rr) + kFixedBytes, target,
                  sizeof target) < 0) {
      continue;
    }
    const unsigned char* const data = ns_rr_rdata(rr);
    found.push_back({number(data), number(data + 2), {target, number(data + 4)}});
  }
  std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return std::pair(a.priority, -a.weight) < std::pair(b.priority, -b.weight);
  });
  std::vector<SrvRecord> records;
  records.reserve(found.size());
  for (Found& f : found) records.push_back(std::move(f.record));
  return records;
}

}  // namespace quorate::cmd
