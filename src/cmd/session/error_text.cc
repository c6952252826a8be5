#include "cmd/session/error_text.h"

#include <string_view>

namespace quorate::cmd {
namespace {

constexpr std::string_view kTooLate = "context deadline exceeded";

// The first that is found in the text counts.
struct Advice {
  std::string_view part;
  std::string_view way_out;
};

// Of connections that could not be made, in gRPC's words and OpenSSL's.
constexpr Advice kConnectionAdvice[] = {
    {"certificate verify failed",
     "the server's certificate is not signed by an authority that is trusted here: name its CA with "
     "--cacert"},
    {"CERTIFICATE_VERIFY_FAILED",
     "the server's certificate is not signed by an authority that is trusted here: name its CA with "
     "--cacert"},
    {"ostname", "the server's certificate does not hold the name in the endpoint: use one that it holds"},
    {"Peer name", "the server's certificate does not hold the name in the endpoint: use one that it holds"},
    {"WRONG_VERSION_NUMBER", "the server does not speak TLS there: use http:// in --endpoints"},
    {"wrong version number", "the server does not speak TLS there: use http:// in --endpoints"},
    {"bad certificate",
     "the server refuses the client's certificate: give one that it trusts with --cert and --key"},
    {"handshake failed",
     "no TLS connection could be made: check --cacert, --cert and --key against the server's"},
    {"Connection refused", "nothing listens there: is the server running, and is --endpoints right?"},
    {"Socket closed",
     "the server closed the connection: does it want TLS (https:// in --endpoints, --cacert, --cert, "
     "--key)?"},
    {"onnection reset",
     "the server closed the connection: does it want TLS (https:// in --endpoints, --cacert, --cert, "
     "--key)?"},
    {"DNS resolution failed", "the host's name is not known: check --endpoints"},
    {"No route to host", "the host can't be reached from here: check --endpoints, the network and firewalls"},
    {"", "is the server running, and is --endpoints right?"},
};

constexpr Advice kServerAdvice[] = {
    {"authentication failed, invalid user ID or password", "check the name and password of --user"},
    {"user name is empty", "authentication is on: log in with --user NAME:PASSWORD"},
    {"invalid auth token", "the server does not know the token: log in again with --user NAME:PASSWORD"},
    {"permission denied", "the user lacks this right: see `role get` and `role grant-permission`"},
    {"database space exceeded",
     "free space, then let writes in again: `compaction REVISION`, `defrag`, `alarm disarm`"},
    {"unhealthy cluster", "see `endpoint health --cluster`: a majority of the members must be in touch"},
    {"request timed out", "the member could not commit it in time: see `endpoint status --cluster`"},
    {"no leader", "the member knows no leader: see `endpoint status --cluster`"},
    {"rpc not supported for learner", "that member is a learner: name a voting one with --endpoints"},
    {"too many learner members", "promote the learner first (`member promote ID`), or remove it"},
    {"can only promote a learner member which is in sync with leader",
     "it has not caught up yet: try again in a while"},
    {"member not found", "see `member list`: perhaps it was removed"},
    {"re-configuration failed due to not enough started members",
     "the cluster would lose its majority: start the members that are down first"},
    {"server stopped",
     "the member is stopping, or was removed from the cluster: ask another one, and see `member list`"},
};

template <size_t kCount>
std::string_view FirstMatch(const Advice (&table)[kCount], std::string_view text) {
  for (const Advice& one : table) {
    if (text.find(one.part) != std::string_view::npos) return one.way_out;
  }
  return "";
}

}  // namespace

bool IsServerText(const Status& status) { return Message(status).starts_with("etcdserver: "); }

std::string EtcdText(const Status& status) {
  const std::string_view text = Message(status);
  // What etcd's client knows as no error of its own it shows as gRPC does.
  if (status.code() == absl::StatusCode::kUnknown && !IsServerText(status)) {
    return "rpc error: code = Unknown desc = " + std::string(text);
  }
  if (const size_t at = text.find(std::string(kTooLate) + ": "); at != std::string_view::npos) {
    return std::string(text.substr(0, at + kTooLate.size()));
  }
  return std::string(text);
}

std::string AdviceFor(const Status& status) {
  const std::string_view text = Message(status);
  const size_t cut = EtcdText(status).size();
  if (cut >= text.size()) return std::string(FirstMatch(kServerAdvice, text));
  const std::string_view why = text.substr(cut + 2);
  std::string_view way_out = FirstMatch(kServerAdvice, why);
  if (way_out.empty()) way_out = FirstMatch(kConnectionAdvice, why);
  return std::string(why) + "; " + std::string(way_out);
}

}  // namespace quorate::cmd
