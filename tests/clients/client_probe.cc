// The C++ client library under a test's control: one task a run, one line of output a fact.
//
//   client_probe FLAG... ENDPOINTS TASK ARGUMENT...
//
// Flags: --user U:P, --cacert F, --cert F, --key F, --insecure-skip-verify, --server-name N, --timeout-ms N,
// --read-attempt-timeout-ms N, --auto-sync-ms N, --http-proxy. Tasks:
//
//   get KEY, put KEY VALUE     one call
//   watch PREFIX               "created", "REVISION TYPE KEY VALUE" for each event, until PREFIX/end is put
//   write PREFIX SECONDS       puts in sequence: "ok N REVISION", "no N ERROR", "unknown N ERROR"
//   read KEY SECONDS           gets in sequence; in the end how many failed
//   lock NAME                  "held KEY" when it has it, until a line comes on standard input
//   elect NAME VALUE           the same
//   trylock NAME               the status
//   keep TTL                   "lease ID", after a line "status STATUS"
//   members                    the endpoints that they advertise
//   snapshot FILE
//   obey                       answers each line of standard input: get KEY, put KEY VALUE, endpoints, and
//                              in one session the status of trylock NAME, unlock NAME
#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "quorate/client/election.h"
#include "quorate/client/mutex.h"

namespace {

namespace qc = quorate::client;
using std::chrono::milliseconds;
using Arguments = std::vector<std::string>;

int Fail(const qc::Status& status) {
  std::cout << status << std::endl;
  return 1;
}

void WaitForLine() {
  std::string line;
  std::getline(std::cin, line);
}

int Get(qc::Client& client, const Arguments& arguments) {
  const auto response = client.kv().Get(arguments.at(0));
  if (!response.ok()) return Fail(response.status());
  for (const auto& kv : response->kvs()) std::cout << kv.value() << std::endl;
  return 0;
}

int Put(qc::Client& client, const Arguments& arguments) {
  const auto response = client.kv().Put(arguments.at(0), arguments.at(1));
  if (!response.ok()) return Fail(response.status());
  std::cout << "ok" << std::endl;
  return 0;
}

int Watch(qc::Client& client, const Arguments& arguments) {
  const std::string end = arguments.at(0) + "/end";
  const auto watch = client.watches().Start(qc::Prefix(arguments.at(0)), {.created_notify = true});
  while (true) {
    const auto response = watch->Next();
    if (!response.ok()) return Fail(response.status());
    if (response->created()) std::cout << "created" << std::endl;
    for (const auto& event : response->events()) {
      const auto& kv = event.kv();
      std::cout << kv.mod_revision() << " " << mvccpb::Event::EventType_Name(event.type()) << " " << kv.key()
                << " " << kv.value() << "\n";
      if (kv.key() == end) return 0;
    }
    std::cout << std::flush;
  }
}

int Write(qc::Client& client, const Arguments& arguments) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(std::stoi(arguments.at(1)));
  for (int n = 0; std::chrono::steady_clock::now() < until; ++n) {
    const std::string key = arguments.at(0) + "/" + std::to_string(n);
    const auto response = client.kv().Put(key, "v", {}, {.timeout = milliseconds(1000)});
    const char* const words[] = {"ok", "no", "unknown"};
    std::cout << words[static_cast<int>(qc::OutcomeOf(response.status()))] << " " << n << " ";
    if (response.ok()) {
      std::cout << response->header().revision() << std::endl;
    } else {
      std::cout << response.status() << std::endl;
    }
  }
  return 0;
}

int Read(qc::Client& client, const Arguments& arguments) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(std::stoi(arguments.at(1)));
  int failed = 0;
  int done = 0;
  while (std::chrono::steady_clock::now() < until) {
    const auto response = client.kv().Get(arguments.at(0), {}, {.timeout = milliseconds(20000)});
    ++done;
    if (response.ok()) continue;
    ++failed;
    std::cout << response.status() << std::endl;
  }
  std::cout << "read " << done << " failed " << failed << std::endl;
  return 0;
}

int Lock(qc::Client& client, const Arguments& arguments) {
  const auto session = qc::Session::Start(&client, {.ttl = std::chrono::seconds(10)});
  if (!session.ok()) return Fail(session.status());
  qc::Mutex mutex(session->get(), arguments.at(0));
  if (const auto status = mutex.Lock(); !status.ok()) return Fail(status);
  std::cout << "held " << mutex.key() << std::endl;
  WaitForLine();
  if (const auto status = mutex.Unlock(); !status.ok()) return Fail(status);
  return 0;
}

int TryLock(qc::Client& client, const Arguments& arguments) {
  const auto session = qc::Session::Start(&client);
  if (!session.ok()) return Fail(session.status());
  qc::Mutex mutex(session->get(), arguments.at(0));
  std::cout << mutex.TryLock() << std::endl;
  return 0;
}

int Elect(qc::Client& client, const Arguments& arguments) {
  const auto session = qc::Session::Start(&client, {.ttl = std::chrono::seconds(10)});
  if (!session.ok()) return Fail(session.status());
  qc::Election election(session->get(), arguments.at(0));
  if (const auto status = election.Campaign(arguments.at(1)); !status.ok()) return Fail(status);
  std::cout << "held " << election.key() << std::endl;
  WaitForLine();
  if (const auto status = election.Resign(); !status.ok()) return Fail(status);
  return 0;
}

int Keep(qc::Client& client, const Arguments& arguments) {
  const auto lease = client.leases().Grant(std::chrono::seconds(std::stoi(arguments.at(0))));
  if (!lease.ok()) return Fail(lease.status());
  const auto kept = client.leases().KeepAlive(lease->id());
  std::cout << "lease " << lease->id() << std::endl;
  WaitForLine();
  std::cout << "status " << kept->status() << std::endl;
  return 0;
}

int Members(qc::Client& client, const Arguments&) {
  if (const auto status = client.SyncEndpoints(); !status.ok()) return Fail(status);
  for (const std::string& endpoint : client.endpoints()) std::cout << endpoint << std::endl;
  return 0;
}

int Snapshot(qc::Client& client, const Arguments& arguments) {
  std::ofstream file(arguments.at(0), std::ios::binary);
  const auto stream = client.maintenance().Snapshot();
  qc::SnapshotResponse part;
  while (true) {
    const auto more = stream->Next(&part);
    if (!more.ok()) return Fail(more.status());
    if (!*more) break;
    file << part.blob();
  }
  std::cout << "ok" << std::endl;
  return file.good() ? 0 : 1;
}

int Endpoints(qc::Client& client, const Arguments&) {
  std::string line;
  for (const std::string& endpoint : client.endpoints()) line += (line.empty() ? "" : ",") + endpoint;
  std::cout << line << std::endl;
  return 0;
}

// The locks of one session, which starts with the first.
class Locks {
 public:
  qc::Mutex& Get(qc::Client& client, const std::string& name) {
    if (!session_) {
      session_ = qc::Session::Start(
                     &client, {.ttl = std::chrono::minutes(10), .call = {.timeout = std::chrono::minutes(1)}})
                     .value();
    }
    return locks_.try_emplace(name, session_.get(), name).first->second;
  }

 private:
  std::unique_ptr<qc::Session> session_;
  std::map<std::string, qc::Mutex> locks_;
};

int Obey(qc::Client& client, const Arguments&) {
  Locks locks;
  const std::map<std::string, std::function<int(qc::Client&, const Arguments&)>> orders = {
      {"get", Get},
      {"put", Put},
      {"endpoints", Endpoints},
      {"trylock",
       [&](qc::Client& of, const Arguments& names) { return Fail(locks.Get(of, names.at(0)).TryLock()); }},
      {"unlock",
       [&](qc::Client& of, const Arguments& names) { return Fail(locks.Get(of, names.at(0)).Unlock()); }}};
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    Arguments arguments;
    for (std::string word; words >> word;) arguments.push_back(word);
    const auto order = orders.at(arguments.at(0));
    arguments.erase(arguments.begin());
    order(client, arguments);
  }
  return 0;
}

const std::map<std::string, std::function<int(qc::Client&, const Arguments&)>> kTasks = {
    {"get", Get},   {"put", Put},         {"watch", Watch},       {"write", Write},
    {"read", Read}, {"lock", Lock},       {"elect", Elect},       {"trylock", TryLock},
    {"keep", Keep}, {"members", Members}, {"snapshot", Snapshot}, {"obey", Obey},
};

// Takes the options off the front.
qc::Options ParseOptions(Arguments* arguments) {
  qc::Options options;
  qc::TlsOptions tls;
  const auto take = [&] {
    std::string first = arguments->at(0);
    arguments->erase(arguments->begin());
    return first;
  };
  while (arguments->at(0).starts_with("--")) {
    const std::string flag = take();
    if (flag == "--insecure-skip-verify") {
      tls.insecure_skip_verify = true;
    } else if (flag == "--cacert") {
      tls.ca_file = take();
    } else if (flag == "--cert") {
      tls.cert_file = take();
    } else if (flag == "--key") {
      tls.key_file = take();
    } else if (flag == "--server-name") {
      tls.server_name = take();
    } else if (flag == "--timeout-ms") {
      options.request_timeout = milliseconds(std::stoi(take()));
    } else if (flag == "--read-attempt-timeout-ms") {
      options.read_attempt_timeout = milliseconds(std::stoi(take()));
    } else if (flag == "--auto-sync-ms") {
      options.auto_sync_interval = milliseconds(std::stoi(take()));
    } else if (flag == "--http-proxy") {
      options.use_http_proxy = true;
    } else if (flag == "--user") {
      const std::string user = take();
      options.username = user.substr(0, user.find(':'));
      options.password = user.substr(user.find(':') + 1);
    } else {
      throw std::invalid_argument(flag);
    }
    if (flag != "--user" && flag != "--http-proxy" && !flag.ends_with("-ms")) options.tls = tls;
  }
  std::istringstream endpoints(take());
  for (std::string endpoint; std::getline(endpoints, endpoint, ',');) options.endpoints.push_back(endpoint);
  options.log = [](std::string_view line) { std::cerr << line << std::endl; };
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments(argv + 1, argv + argc);
  const auto client = qc::Client::Connect(ParseOptions(&arguments));
  if (!client.ok()) return Fail(client.status());
  const auto task = kTasks.at(arguments.at(0));
  arguments.erase(arguments.begin());
  return task(**client, arguments);
}
