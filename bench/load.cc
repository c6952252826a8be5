// quorate_load: a load generator for one etcd endpoint, cheap enough to leave the server the bottleneck on
// two cores.
//
//   quorate_load PORT WORKLOAD [--inflight N] [--connections C] [--seconds S] [--requests N] [--rate R]
//   [--keys K]
//                [--value-bytes V] [--watchers W]
//
// Closed loop with N calls under way, or, with --rate, open loop: calls start when they are due, and their
// latency counts from then. Prints one JSON object: requests, errors, seconds, per second, mean, p50, p99,
// max (microseconds).
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "h2_client.h"
#include "rpc.pb.h"

namespace quorate::bench {
namespace {

namespace pb = etcdserverpb;

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Plan {
  uint16_t port = 0;
  std::string workload;
  size_t inflight = 1;
  size_t connections = 0;  // 0: one per 100 calls under way.
  double seconds = 5;
  uint64_t requests = 0;  // 0: until the time is over.
  double rate = 0;        // Calls a second; 0: closed loop.
  uint64_t keys = 10'000;
  size_t value_bytes = 256;
  size_t watchers = 1'000;
};

// "key-00001234": of one width, so that a template's digits can be overwritten in place.
constexpr size_t kDigits = 8;
void PutDigits(uint64_t number, char* at) {
  for (size_t i = kDigits; i-- > 0; number /= 10) at[i] = static_cast<char>('0' + number % 10);
}
std::string Key(uint64_t number) {
  std::string key = "key-" + std::string(kDigits, '0');
  PutDigits(number, key.data() + 4);
  return key;
}

// A request of which only the key changes from call to call.
struct Template {
  std::string path;
  std::string bytes;
  std::vector<size_t> digits;  // Where the key's digits stand.

  Template() = default;
  Template(std::string p, const google::protobuf::Message& message) : path(std::move(p)) {
    bytes = message.SerializeAsString();
    const std::string zero = Key(0);
    for (size_t at = bytes.find(zero); at != std::string::npos; at = bytes.find(zero, at + 1)) {
      digits.push_back(at + 4);
    }
  }
  void SetKey(uint64_t number) {
    for (size_t at : digits) PutDigits(number, bytes.data() + at);
  }
};

enum class Order { kRandom, kSequential };

struct Mix {
  std::vector<Template> templates;  // Taken in turn.
  Order order = Order::kRandom;
  uint64_t stride = 1;  // kSequential: from one call's key to the next one's.
};

Mix MakeMix(const Plan& plan) {
  Mix mix;
  const std::string value(plan.value_bytes, 'v');
  pb::PutRequest put;
  put.set_key(Key(0));
  put.set_value(value);
  pb::RangeRequest range;
  range.set_key(Key(0));
  const std::string& w = plan.workload;
  if (w == "put" || w == "fill") {
    mix.templates.emplace_back("/etcdserverpb.KV/Put", put);
    if (w == "fill") mix.order = Order::kSequential;
  } else if (w == "range" || w == "range-linear") {
    range.set_serializable(w == "range");
    mix.templates.emplace_back("/etcdserverpb.KV/Range", range);
  } else if (w == "range1000") {
    range.set_serializable(true);
    range.set_range_end(std::string("key.", 4));
    range.set_limit(1000);
    mix.templates.emplace_back("/etcdserverpb.KV/Range", range);
  } else if (w == "scan") {
    // All keys once, a thousand a call.
    range.set_serializable(true);
    range.set_range_end(std::string("key.", 4));
    range.set_limit(1000);
    mix.templates.emplace_back("/etcdserverpb.KV/Range", range);
    mix.order = Order::kSequential;
    mix.stride = 1000;
  } else if (w == "txn") {
    pb::TxnRequest txn;
    auto* compare = txn.add_compare();
    compare->set_key(Key(0));
    compare->set_target(pb::Compare::VERSION);
    compare->set_result(pb::Compare::GREATER);
    compare->set_version(0);
    *txn.add_success()->mutable_request_put() = put;
    mix.templates.emplace_back("/etcdserverpb.KV/Txn", txn);
  } else if (w == "delete") {
    pb::DeleteRangeRequest request;
    request.set_key(Key(0));
    mix.templates.emplace_back("/etcdserverpb.KV/DeleteRange", request);
    mix.order = Order::kSequential;
  } else if (w == "mixed") {
    range.set_serializable(false);
    mix.templates.emplace_back("/etcdserverpb.KV/Put", put);
    mix.templates.emplace_back("/etcdserverpb.KV/Range", range);
  }
  return mix;
}

struct Tally {
  uint64_t finished = 0;
  uint64_t errors = 0;
  uint64_t events = 0;
  std::map<int, uint64_t> codes;
  std::vector<uint32_t> micros;

  void Add(int64_t nanos) {
    micros.push_back(static_cast<uint32_t>(std::min<int64_t>(nanos / 1000, UINT32_MAX)));
  }
};

class Load : public Handler {
 public:
  explicit Load(const Plan& plan) : plan_(plan), mix_(MakeMix(plan)), epoll_(epoll_create1(0)) {
    const size_t connections =
        plan.connections != 0 ? plan.connections : std::max<size_t>(1, plan.inflight / 100);
    for (size_t i = 0; i < connections; ++i) AddConnection();
  }

  int Run();

  void OnMessage(Call* call, std::string_view message) override;
  void OnEnd(Call* call) override;

 private:
  Connection* AddConnection() {
    connections_.push_back(std::make_unique<Connection>(plan_.port, this));
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = connections_.back().get();
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_.back()->fd(), &event);
    return connections_.back().get();
  }
  bool Done() const { return stopping_ || (plan_.requests != 0 && started_ >= plan_.requests); }
  void StartOne(Connection* connection, int64_t due);
  void StartDue();
  void Poll(int timeout_ms);
  void GrantLeases();
  void OpenWatches();
  void PutForWatches(Connection* connection);
  void TakeWatchResponse(std::string_view message);
  void Report(double seconds) const;
  bool IsWatch() const { return plan_.workload.rfind("watch", 0) == 0; }

  Plan plan_;
  Mix mix_;
  int epoll_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::mt19937_64 random_{42};
  Tally tally_;
  uint64_t started_ = 0;
  uint64_t under_way_ = 0;
  int64_t begun_ = 0;
  bool stopping_ = false;
  bool measuring_ = false;
  size_t turn_ = 0;

  // Lease keep-alive: one stream per lease.
  std::vector<int64_t> leases_;
  std::map<Call*, std::pair<Connection*, std::string>> keepalives_;

  // Watches: a put is over when all its watchers have its event. Its number is the value's head.
  struct Put {
    int64_t sent = 0;
    size_t left = 0;
  };
  std::map<uint64_t, Put> puts_;
  size_t watches_ready_ = 0;
};

enum Tag : uint64_t { kUnary = 0, kKeepAlive = 1, kWatch = 2, kGrant = 3, kWatchPut = 4 };

void Load::StartOne(Connection* connection, int64_t due) {
  Template& t = mix_.templates[turn_++ % mix_.templates.size()];
  const uint64_t number = mix_.order == Order::kSequential ? started_ * mix_.stride : random_() % plan_.keys;
  t.SetKey(number);
  Call* call = connection->Start(t.path, t.bytes, true);
  call->tag = kUnary;
  call->sent_nanos = due;
  ++started_;
  ++under_way_;
}

void Load::OnMessage(Call* call, std::string_view message) {
  if (call->tag == kGrant) {
    pb::LeaseGrantResponse granted;
    granted.ParseFromArray(message.data(), static_cast<int>(message.size()));
    leases_.push_back(granted.id());
  } else if (call->tag == kWatch) {
    TakeWatchResponse(message);
  } else if (call->tag == kKeepAlive) {
    const int64_t now = Now();
    tally_.Add(now - call->sent_nanos);
    ++tally_.finished;
    const auto it = keepalives_.find(call);
    if (Done() || it == keepalives_.end()) return;
    ++started_;
    call->sent_nanos = now;
    it->second.first->Send(call, it->second.second);
  }
}

void Load::OnEnd(Call* call) {
  if (call->tag == kGrant || call->tag == kKeepAlive || call->tag == kWatch) {
    if (call->grpc_status != 0 && !stopping_) ++tally_.codes[call->grpc_status];
    return;
  }
  if (call->grpc_status != 0) {
    ++tally_.errors;
    ++tally_.codes[call->grpc_status];
  }
  if (call->tag == kWatchPut) return;
  --under_way_;
  ++tally_.finished;
  tally_.Add(Now() - call->sent_nanos);
  if (plan_.rate == 0 && !Done()) {
    // The calls of one connection keep to it; which one does not matter to the server.
    StartOne(connections_[turn_ % connections_.size()].get(), Now());
  }
}

void Load::StartDue() {
  const int64_t now = Now();
  const double due = static_cast<double>(now - begun_) / 1e9 * plan_.rate;
  constexpr uint64_t kUnderWayMax = 50'000;
  while (static_cast<double>(started_) < due && under_way_ < kUnderWayMax && !Done()) {
    const auto at = begun_ + static_cast<int64_t>(static_cast<double>(started_) / plan_.rate * 1e9);
    StartOne(connections_[started_ % connections_.size()].get(), at);
  }
}

void Load::Poll(int timeout_ms) {
  epoll_event events[64];
  const int ready = epoll_wait(epoll_, events, 64, timeout_ms);
  for (int i = 0; i < ready; ++i) static_cast<Connection*>(events[i].data.ptr)->OnReady();
  for (const auto& connection : connections_) connection->Flush();
}

void Load::GrantLeases() {
  for (size_t i = 0; i < plan_.inflight; ++i) {
    pb::LeaseGrantRequest request;
    request.set_ttl(3600);
    connections_[i % connections_.size()]
        ->Start("/etcdserverpb.Lease/LeaseGrant", request.SerializeAsString(), true)
        ->tag = kGrant;
  }
  while (leases_.size() < plan_.inflight) Poll(100);
}

void Load::OpenWatches() {
  const size_t streams = 10;
  std::vector<std::pair<Connection*, Call*>> open;
  for (size_t i = 0; i < plan_.watchers; ++i) {
    pb::WatchRequest request;
    request.mutable_create_request()->set_key(Key(plan_.workload == "watch-spread" ? i : 0));
    const std::string bytes = request.SerializeAsString();
    if (i < streams) {
      Connection* connection = AddConnection();
      Call* call = connection->Start("/etcdserverpb.Watch/Watch", bytes, false);
      call->tag = kWatch;
      open.emplace_back(connection, call);
    } else {
      open[i % streams].first->Send(open[i % streams].second, bytes);
    }
  }
  while (watches_ready_ < plan_.watchers) Poll(100);
}

void Load::PutForWatches(Connection* connection) {
  const bool spread = plan_.workload == "watch-spread";
  pb::PutRequest request;
  request.set_key(Key(spread ? random_() % plan_.watchers : 0));
  std::string value(std::max<size_t>(plan_.value_bytes, kDigits), 'v');
  PutDigits(started_, value.data());
  request.set_value(value);
  puts_[started_] = {Now(), spread ? 1 : plan_.watchers};
  ++started_;
  connection->Start("/etcdserverpb.KV/Put", request.SerializeAsString(), true)->tag = kWatchPut;
}

void Load::TakeWatchResponse(std::string_view message) {
  pb::WatchResponse response;
  response.ParseFromArray(message.data(), static_cast<int>(message.size()));
  if (response.created()) ++watches_ready_;
  for (const auto& event : response.events()) {
    ++tally_.events;
    if (event.kv().value().size() < kDigits) continue;
    const auto it = puts_.find(std::strtoull(event.kv().value().substr(0, kDigits).c_str(), nullptr, 10));
    if (it == puts_.end() || --it->second.left != 0) continue;
    tally_.Add(Now() - it->second.sent);
    ++tally_.finished;
    puts_.erase(it);
    if (!Done()) PutForWatches(connections_[0].get());
  }
}

void Load::Report(double seconds) const {
  std::vector<uint32_t> sorted = tally_.micros;
  std::sort(sorted.begin(), sorted.end());
  double sum = 0;
  for (uint32_t m : sorted) sum += m;
  const auto at = [&](double q) {
    return sorted.empty() ? 0u
                          : sorted[std::min(sorted.size() - 1,
                                            static_cast<size_t>(q * static_cast<double>(sorted.size())))];
  };
  std::printf(
      "{\"requests\":%llu,\"errors\":%llu,\"events\":%llu,\"seconds\":%.3f,\"per_second\":%.1f,"
      "\"mean_us\":%.1f,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u,\"codes\":{",
      static_cast<unsigned long long>(tally_.finished), static_cast<unsigned long long>(tally_.errors),
      static_cast<unsigned long long>(tally_.events), seconds, static_cast<double>(tally_.finished) / seconds,
      sorted.empty() ? 0.0 : sum / static_cast<double>(sorted.size()), at(0.5), at(0.99), at(1.0));
  const char* comma = "";
  for (const auto& [code, count] : tally_.codes) {
    std::printf("%s\"%d\":%llu", comma, code, static_cast<unsigned long long>(count));
    comma = ",";
  }
  std::printf("}}\n");
}

int Load::Run() {
  const bool keepalive = plan_.workload == "keepalive";
  if (keepalive) GrantLeases();
  if (IsWatch()) OpenWatches();
  if (!keepalive && !IsWatch() && mix_.templates.empty()) {
    std::fprintf(stderr, "quorate_load: there is no workload %s\n", plan_.workload.c_str());
    return 2;
  }
  begun_ = Now();
  const int64_t end = begun_ + static_cast<int64_t>(plan_.seconds * 1e9);
  for (size_t i = 0; i < plan_.inflight && plan_.rate == 0 && !Done(); ++i) {
    Connection* connection = connections_[i % connections_.size()].get();
    if (keepalive) {
      pb::LeaseKeepAliveRequest request;
      request.set_id(leases_[i]);
      const std::string bytes = request.SerializeAsString();
      Call* call = connection->Start("/etcdserverpb.Lease/LeaseKeepAlive", bytes, false);
      call->tag = kKeepAlive;
      call->sent_nanos = Now();
      keepalives_[call] = {connection, bytes};
      ++started_;
    } else if (IsWatch()) {
      PutForWatches(connections_[0].get());
    } else {
      StartOne(connection, Now());
    }
  }
  while (!(Done() && under_way_ == 0)) {
    if (plan_.rate != 0) StartDue();
    Poll(plan_.rate != 0 ? 1 : 100);
    if (Now() >= end && plan_.requests == 0) {
      stopping_ = true;
      if (keepalive || IsWatch()) break;
    }
    constexpr int64_t kGraceNanos = 60'000'000'000;
    if (stopping_ && Now() > end + kGraceNanos) {
      tally_.errors += under_way_;
      break;
    }
  }
  Report(static_cast<double>(Now() - begun_) / 1e9);
  return 0;
}

int Main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: quorate_load PORT WORKLOAD [--inflight N] [--seconds S] ...; see load.cc\n");
    return 2;
  }
  Plan plan;
  plan.port = static_cast<uint16_t>(std::atoi(argv[1]));
  plan.workload = argv[2];
  for (int i = 3; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const double value = std::atof(argv[i + 1]);
    const auto whole = static_cast<uint64_t>(value);
    if (name == "--inflight")
      plan.inflight = whole;
    else if (name == "--connections")
      plan.connections = whole;
    else if (name == "--seconds")
      plan.seconds = value;
    else if (name == "--requests")
      plan.requests = whole;
    else if (name == "--rate")
      plan.rate = value;
    else if (name == "--keys")
      plan.keys = std::max<uint64_t>(1, whole);
    else if (name == "--value-bytes")
      plan.value_bytes = whole;
    else if (name == "--watchers")
      plan.watchers = whole;
    else
      return std::fprintf(stderr, "quorate_load: unknown option %s\n", name.c_str()), 2;
  }
  return Load(plan).Run();
}

}  // namespace
}  // namespace quorate::bench

int main(int argc, char** argv) { return quorate::bench::Main(argc, argv); }
