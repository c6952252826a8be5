#include "auth/auth_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/escaping.h"
#include "auth/auth_errors.h"
#include "base/env_sim.h"
#include "base/test_seed.h"

namespace quorate::auth {
namespace {

using mvcc::Bucket;

const std::string kOpen(1, '\0');
constexpr int64_t kSecond = 1'000'000'000;

std::string Hashed(std::string_view password) {
  const std::string hash = *HashPassword(password, kBcryptCostMin, Salt{});
  return absl::Base64Escape(hash);
}

class AuthStoreTest : public testing::Test {
 protected:
  AuthStoreTest() : files_(1), random_(2) {
    EXPECT_TRUE(files_.CreateDirectories("/data", 0700).ok());
    EXPECT_TRUE(files_.SyncDirectory("/").ok());
    OpenBackend();
    OpenStore();
  }
  void OpenBackend() {
    Env env;
    env.files = &files_;
    env.clock = &clock_;
    env.random = &random_;
    env.executor = &executor_;
    auto backend = mvcc::Backend::Open(env, "/data/db", {});
    ASSERT_TRUE(backend.ok()) << backend.status().ToString();
    backend_ = *std::move(backend);
  }
  void OpenStore() {
    options_.bcrypt_cost = kBcryptCostMin;
    auto store = AuthStore::Open(backend_.get(), &random_, options_);
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    store_ = *std::move(store);
  }
  // User root with its role, and authentication on.
  void EnableWithRoot() {
    EXPECT_TRUE(store_->UserAdd("root", "", Hashed("root"), false).ok());
    EXPECT_TRUE(store_->UserGrantRole("root", "root").ok());
    EXPECT_TRUE(store_->Enable().ok());
  }
  void Grant(std::string_view role, PermissionType type, const std::string& key,
             const std::string& range_end) {
    const Permission permission{type, key, range_end};
    EXPECT_TRUE(store_->RoleGrantPermission(role, &permission).ok());
  }
  AuthInfo As(std::string_view user) const { return {std::string(user), store_->revision()}; }
  std::string Stored(Bucket bucket, std::string_view key) const {
    return backend_->Get(bucket, key)->value_or("missing");
  }
  // The same operation's outcome and whether the revision went up: only successful changes count.
  void Expect(const Status& got, const Status& expected, uint64_t revision_before, bool counts) {
    EXPECT_EQ(got, expected);
    EXPECT_EQ(store_->revision(), revision_before + (counts ? 1 : 0));
  }

  SimFileSystem files_;
  SimClock clock_;
  SeededRandom random_;
  InlineExecutor executor_;
  AuthOptions options_;
  std::unique_ptr<mvcc::Backend> backend_;
  std::unique_ptr<AuthStore> store_;
};

TEST_F(AuthStoreTest, AFreshStore) {
  EXPECT_FALSE(store_->enabled());
  EXPECT_EQ(store_->revision(), 1u);
  EXPECT_EQ(Stored(Bucket::kAuth, "authRevision"), std::string("\0\0\0\0\0\0\0\1", 8));
  EXPECT_EQ(Stored(Bucket::kAuth, "authEnabled"), "missing");
  EXPECT_TRUE(store_->UserList().empty());
  EXPECT_TRUE(store_->IsPutPermitted({}, "a").ok());
  EXPECT_TRUE(store_->IsAdminPermitted({}).ok());
  EXPECT_EQ(store_->BeginPasswordCheck("root").status(), ErrAuthNotEnabled());
  EXPECT_EQ(store_->Authenticate("root", "P", 1, 0).status(), ErrAuthNotEnabled());
}

// Each step: what is done, what it answers, whether it counts.
TEST_F(AuthStoreTest, EveryOperationAndItsErrors) {
  const Status ok = absl::OkStatus();
  const Permission range{PermissionType::kRead, "a", "c"};
  const Permission upside_down{PermissionType::kRead, "c", "a"};
  const Permission empty_key{PermissionType::kRead, "", "a"};
  const struct {
    const char* what;
    std::function<Status()> run;
    Status expected;
    bool counts;
  } steps[] = {
      {"enable without root", [&] { return store_->Enable(); }, ErrRootUserNotExist(), false},
      {"add nobody", [&] { return store_->UserAdd("", "p", "", false); }, ErrUserEmpty(), false},
      {"add root", [&] { return store_->UserAdd("root", "", Hashed("r"), false); }, ok, true},
      {"add root again", [&] { return store_->UserAdd("root", "p", "", false); }, ErrUserAlreadyExist(),
       false},
      {"enable without role", [&] { return store_->Enable(); }, ErrRootRoleNotExist(), false},
      {"add with no base64", [&] { return store_->UserAdd("x", "", "!", false); }, ErrNoPasswordUser(),
       false},
      {"add al, plain", [&] { return store_->UserAdd("al", "secret", "", false); }, ok, true},
      {"add bo, none", [&] { return store_->UserAdd("bo", "ignored", "", true); }, ok, true},
      {"change nobody's", [&] { return store_->UserChangePassword("x", "p", ""); }, ErrUserNotFound(), false},
      {"change al's", [&] { return store_->UserChangePassword("al", "", Hashed("new")); }, ok, true},
      {"change to no base64", [&] { return store_->UserChangePassword("al", "", "!"); }, ErrNoPasswordUser(),
       false},
      {"grant to nobody", [&] { return store_->UserGrantRole("x", "r"); }, ErrUserNotFound(), false},
      {"grant no role", [&] { return store_->UserGrantRole("al", "r"); }, ErrRoleNotFound(), false},
      {"grant root, unmade", [&] { return store_->UserGrantRole("root", "root"); }, ok, true},
      {"grant root twice", [&] { return store_->UserGrantRole("root", "root"); }, ok, false},
      {"make a role without name", [&] { return store_->RoleAdd(""); }, ErrRoleEmpty(), false},
      {"make r", [&] { return store_->RoleAdd("r"); }, ok, true},
      {"make r again", [&] { return store_->RoleAdd("r"); }, ErrRoleAlreadyExist(), false},
      {"make root", [&] { return store_->RoleAdd("root"); }, ok, true},
      {"grant r", [&] { return store_->UserGrantRole("al", "r"); }, ok, true},
      {"no permission", [&] { return store_->RoleGrantPermission("r", nullptr); }, ErrPermissionNotGiven(),
       false},
      {"range upside down", [&] { return store_->RoleGrantPermission("r", &upside_down); },
       ErrInvalidAuthMgmt(), false},
      {"range of no key", [&] { return store_->RoleGrantPermission("r", &empty_key); }, ErrInvalidAuthMgmt(),
       false},
      {"to no role", [&] { return store_->RoleGrantPermission("x", &range); }, ErrRoleNotFound(), false},
      {"permission", [&] { return store_->RoleGrantPermission("r", &range); }, ok, true},
      {"permission again", [&] { return store_->RoleGrantPermission("r", &range); }, ok, true},
      {"take from no role", [&] { return store_->RoleRevokePermission("x", "a", "c"); }, ErrRoleNotFound(),
       false},
      {"take another range", [&] { return store_->RoleRevokePermission("r", "a", ""); },
       ErrPermissionNotGranted(), false},
      {"take it", [&] { return store_->RoleRevokePermission("r", "a", "c"); }, ok, true},
      {"revoke from nobody", [&] { return store_->UserRevokeRole("x", "r"); }, ErrUserNotFound(), false},
      {"revoke what is not", [&] { return store_->UserRevokeRole("bo", "r"); }, ErrRoleNotGranted(), false},
      {"revoke r", [&] { return store_->UserRevokeRole("al", "r"); }, ok, true},
      {"delete nobody", [&] { return store_->UserDelete("x"); }, ErrUserNotFound(), false},
      {"delete bo", [&] { return store_->UserDelete("bo"); }, ok, true},
      {"delete no role", [&] { return store_->RoleDelete("x"); }, ErrRoleNotFound(), false},
      {"delete r", [&] { return store_->RoleDelete("r"); }, ok, true},
      {"enable", [&] { return store_->Enable(); }, ok, false},
      {"enable twice", [&] { return store_->Enable(); }, ok, false},
      {"delete user root", [&] { return store_->UserDelete("root"); }, ErrInvalidAuthMgmt(), false},
      {"delete role root", [&] { return store_->RoleDelete("root"); }, ErrInvalidAuthMgmt(), false},
      {"revoke root's root", [&] { return store_->UserRevokeRole("root", "root"); }, ErrInvalidAuthMgmt(),
       false},
      {"disable",
       [&] {
         store_->Disable();
         return ok;
       },
       ok, true},
      {"disable twice",
       [&] {
         store_->Disable();
         return ok;
       },
       ok, false},
      {"now revoke root's root", [&] { return store_->UserRevokeRole("root", "root"); }, ok, true},
      {"now delete role root", [&] { return store_->RoleDelete("root"); }, ok, true},
      {"now delete user root", [&] { return store_->UserDelete("root"); }, ok, true},
  };
  for (const auto& step : steps) {
    SCOPED_TRACE(step.what);
    const uint64_t before = store_->revision();
    Expect(step.run(), step.expected, before, step.counts);
  }
  EXPECT_EQ(store_->UserList(), std::vector<std::string>{"al"});
  EXPECT_TRUE(store_->RoleList().empty());
}

TEST_F(AuthStoreTest, QuestionsAreAnswered) {
  ASSERT_TRUE(store_->UserAdd("zoe", "", Hashed("z"), false).ok());
  ASSERT_TRUE(store_->UserAdd("al", "", "", true).ok());
  for (const char* role : {"r2", "r1"}) {
    ASSERT_TRUE(store_->RoleAdd(role).ok());
    ASSERT_TRUE(store_->UserGrantRole("al", role).ok());
  }
  Grant("r1", PermissionType::kWrite, "b", "");
  Grant("r1", PermissionType::kRead, "a", "z");
  Grant("r1", PermissionType::kReadWrite, "b", "");
  EXPECT_EQ(store_->UserList(), (std::vector<std::string>{"al", "zoe"}));
  EXPECT_EQ(store_->RoleList(), (std::vector<std::string>{"r1", "r2"}));
  EXPECT_EQ(*store_->UserGet("al"), (std::vector<std::string>{"r1", "r2"}));
  EXPECT_EQ(store_->UserGet("x").status(), ErrUserNotFound());
  EXPECT_EQ(*store_->RoleGet("r1"), (std::vector<Permission>{{PermissionType::kRead, "a", "z"},
                                                             {PermissionType::kReadWrite, "b", ""}}));
  EXPECT_EQ(store_->RoleGet("x").status(), ErrRoleNotFound());
  EXPECT_TRUE(store_->HasRole("al", "r2"));
  EXPECT_FALSE(store_->HasRole("zoe", "r2"));
  EXPECT_FALSE(store_->HasRole("x", "r2"));
}

TEST_F(AuthStoreTest, StoredAndFoundAgain) {
  EnableWithRoot();
  ASSERT_TRUE(store_->UserAdd("al", "", Hashed("a"), false).ok());
  ASSERT_TRUE(store_->RoleAdd("r").ok());
  Grant("r", PermissionType::kReadWrite, "k", "l");
  ASSERT_TRUE(store_->UserGrantRole("al", "r").ok());
  ASSERT_TRUE(store_->UserAdd("gone", "", "", true).ok());
  ASSERT_TRUE(store_->UserDelete("gone").ok());
  EXPECT_EQ(Stored(Bucket::kAuth, "authEnabled"), std::string("\1", 1));
  EXPECT_EQ(Stored(Bucket::kAuthRoles, "r"), std::string("\x0a\x01r\x12\x08\x08\x02\x12\x01k\x1a\x01l", 13));
  EXPECT_EQ(DecodeUser(Stored(Bucket::kAuthUsers, "al"))->no_password, false);
  const uint64_t revision = store_->revision();

  store_.reset();
  ASSERT_TRUE(backend_->Close().ok());
  backend_.reset();
  files_.Crash();
  OpenBackend();
  OpenStore();
  EXPECT_TRUE(store_->enabled());
  EXPECT_EQ(store_->revision(), revision);
  EXPECT_EQ(store_->UserList(), (std::vector<std::string>{"al", "root"}));
  EXPECT_TRUE(store_->IsPutPermitted(As("al"), "k1").ok());
  EXPECT_EQ(store_->IsPutPermitted(As("al"), "l"), ErrPermissionDenied());
  EXPECT_TRUE(VerifyPassword(store_->BeginPasswordCheck("al")->hash, "a"));
}

TEST_F(AuthStoreTest, DamagedBucketsAreDataLoss) {
  const struct {
    Bucket bucket;
    const char* key;
    const char* value;
  } cases[] = {{Bucket::kAuthUsers, "al", "\x0a\x05x"},
               {Bucket::kAuthRoles, "r", "\x12\x09"},
               {Bucket::kAuth, "authRevision", "short"}};
  for (const auto& c : cases) {
    const std::string before = Stored(c.bucket, c.key);
    backend_->Put(c.bucket, c.key, c.value);
    const Status status = AuthStore::Open(backend_.get(), &random_, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_NE(Message(status).find(c.key), std::string_view::npos) << status.ToString();
    if (before == "missing") {
      backend_->Delete(c.bucket, c.key);
    } else {
      backend_->Put(c.bucket, c.key, before);
    }
  }
}

TEST_F(AuthStoreTest, PasswordsAndTokens) {
  EnableWithRoot();
  ASSERT_TRUE(store_->UserAdd("al", "plain", "", false).ok());
  ASSERT_TRUE(store_->UserAdd("bo", "", "", true).ok());
  EXPECT_EQ(store_->BeginPasswordCheck("x").status(), ErrAuthFailed());
  EXPECT_EQ(store_->BeginPasswordCheck("bo").status(), ErrNoPasswordUser());
  EXPECT_EQ(store_->Authenticate("x", "P", 1, 0).status(), ErrAuthFailed());
  EXPECT_EQ(store_->Authenticate("bo", "P", 1, 0).status(), ErrAuthFailed());
  const auto check = store_->BeginPasswordCheck("al");
  ASSERT_TRUE(check.ok());
  EXPECT_EQ(check->revision, store_->revision());
  EXPECT_TRUE(VerifyPassword(check->hash, "plain"));
  EXPECT_FALSE(VerifyPassword(check->hash, "other"));

  const auto token = store_->Authenticate("al", "Prefix", 7, 0);
  EXPECT_EQ(*token, "Prefix.7");
  for (const char* form : {"Prefix.7", "Bearer Prefix.7"}) {
    const auto who = store_->AuthInfoFromToken(form, clock_);
    ASSERT_TRUE(who.ok());
    EXPECT_EQ(who->username, "al");
    EXPECT_EQ(who->revision, store_->revision());
  }
  EXPECT_EQ(store_->AuthInfoFromToken("Prefix.8", clock_).status(), ErrInvalidAuthToken());
  clock_.Advance(400 * kSecond);
  EXPECT_EQ(store_->AuthInfoFromToken("Prefix.7", clock_).status(), ErrInvalidAuthToken());
}

TEST_F(AuthStoreTest, AKeptHashIsUsedOnceForItsUserAndPassword) {
  EnableWithRoot();
  const auto hash_of = [&](std::string_view name) { return store_->BeginPasswordCheck(name)->hash; };
  const std::string kept = *HashPassword("pw", kBcryptCostMin, Salt{});
  store_->KeepHash("a", "pw", "replaced");
  store_->KeepHash("a", "pw", kept);
  ASSERT_TRUE(store_->UserAdd("other", "pw", "", false).ok());
  EXPECT_NE(hash_of("other"), kept);
  ASSERT_TRUE(store_->UserAdd("a", "pw", "", false).ok());
  EXPECT_EQ(hash_of("a"), kept);
  ASSERT_TRUE(store_->UserChangePassword("a", "pw", "").ok());
  EXPECT_NE(hash_of("a"), kept);

  store_->KeepHash("a", "another", kept);
  ASSERT_TRUE(store_->UserChangePassword("a", "pw", "").ok());
  EXPECT_TRUE(VerifyPassword(hash_of("a"), "pw"));
  store_->KeepHash("a", "pw", kept);
  store_->ForgetHash("a");
  store_->ForgetHash("nobody");
  ASSERT_TRUE(store_->UserChangePassword("a", "pw", "").ok());
  EXPECT_NE(hash_of("a"), kept);
}

// What a member that applies must hash first, by the form of the log's entries.
TEST_F(AuthStoreTest, WantsHashOfPlainPasswordsOnly) {
  ASSERT_TRUE(store_->UserAdd("old", "", Hashed("x"), false).ok());
  EXPECT_TRUE(store_->WantsHash("new", "pw", "", true));
  EXPECT_TRUE(store_->WantsHash("old", "pw", "", false));
  EXPECT_FALSE(store_->WantsHash("new", "pw", Hashed("pw"), true));
  EXPECT_FALSE(store_->WantsHash("old", "pw", "", true)) << "is refused";
  EXPECT_FALSE(store_->WantsHash("new", "pw", "", false)) << "is refused";
  EXPECT_FALSE(store_->WantsHash("new", std::string_view("p\0w", 3), "", true)) << "is refused";
  EXPECT_FALSE(store_->WantsHash("new", "", "", true));
  store_->KeepHash("new", "pw", "hash");
  EXPECT_FALSE(store_->WantsHash("new", "pw", "", true));
  EXPECT_TRUE(store_->WantsHash("new", "another", "", true));

  store_->set_plain_passwords(true);
  EXPECT_TRUE(store_->WantsHash("newer", "", "", true));
  ASSERT_TRUE(store_->UserAdd("newer", "", "", false).ok());
  ASSERT_TRUE(store_->UserChangePassword("old", "", "").ok());
  EnableWithRoot();
  EXPECT_TRUE(VerifyPassword(store_->BeginPasswordCheck("newer")->hash, ""));
  EXPECT_TRUE(VerifyPassword(store_->BeginPasswordCheck("old")->hash, ""));
}

TEST_F(AuthStoreTest, AnswersOfChecksHaveAGeneration) {
  const auto changes = [&](const std::function<Status()>& run) {
    const uint64_t before = store_->generation();
    EXPECT_TRUE(run().ok());
    return store_->generation() != before;
  };
  EXPECT_TRUE(changes([&] { return store_->UserAdd("root", "", Hashed("r"), false); }));
  EXPECT_TRUE(changes([&] { return store_->UserGrantRole("root", "root"); }));
  EXPECT_FALSE(changes([&] { return store_->UserGrantRole("root", "root"); })) << "has it";
  EXPECT_TRUE(changes([&] { return store_->Enable(); }));
  EXPECT_FALSE(changes([&] { return store_->Enable(); })) << "is on";
  EXPECT_TRUE(changes([&] { return store_->Reload(backend_.get()); }));
  EXPECT_TRUE(changes([&] {
    store_->Disable();
    return absl::OkStatus();
  }));
}

TEST_F(AuthStoreTest, JsonWebTokens) {
  options_.tokens = TokenKind::kJwt;
  JwtOptions jwt;
  jwt.sign_method = "HS256";
  jwt.private_key = "secret";
  options_.jwt = *Jwt::Make(jwt);
  OpenStore();
  EnableWithRoot();
  EXPECT_EQ(store_->NewTokenPrefix(), "");
  EXPECT_EQ(*store_->Authenticate("root", "", 7, 0), "") << "is signed where the user logs in";
  const std::string token = *store_->jwt()->Sign("root", store_->revision(), clock_.WallNanos());
  const auto who = store_->AuthInfoFromToken("Bearer " + token, clock_);
  ASSERT_TRUE(who.ok());
  EXPECT_EQ(*who, (AuthInfo{"root", store_->revision()}));
  EXPECT_EQ(store_->AuthInfoFromToken("Prefix.7", clock_).status(), ErrInvalidAuthToken());

  // It can't be taken back, but its revision is old after any change.
  ASSERT_TRUE(store_->RoleAdd("r").ok());
  const auto later = store_->AuthInfoFromToken(token, clock_);
  ASSERT_TRUE(later.ok());
  EXPECT_EQ(store_->IsPutPermitted(*later, "a"), ErrAuthOldRevision());
  clock_.Advance(301 * kSecond);
  EXPECT_EQ(store_->AuthInfoFromToken(token, clock_).status(), ErrInvalidAuthToken());
}

TEST_F(AuthStoreTest, WithoutTokensNobodyLogsIn) {
  options_.tokens = TokenKind::kNone;
  OpenStore();
  EnableWithRoot();
  EXPECT_EQ(store_->Authenticate("root", "P", 7, 0).status(), ErrAuthFailed());
  EXPECT_EQ(store_->AuthInfoFromToken("P.7", clock_).status(), ErrInvalidAuthToken());
}

TEST_F(AuthStoreTest, ATimeToLiveOfZeroIsTheDefault) {
  options_.token_ttl_nanos = 0;
  OpenStore();
  EnableWithRoot();
  const std::string token = *store_->Authenticate("root", "P", 7, clock_.MonotonicNanos());
  clock_.Advance(299 * kSecond);
  EXPECT_TRUE(store_->AuthInfoFromToken(token, clock_).ok());
}

TEST_F(AuthStoreTest, TokensEndWithWhatTheyStandOn) {
  EnableWithRoot();
  uint64_t index = 0;
  const auto still_good = [&](const std::function<void()>& event) {
    const std::string token = *store_->Authenticate("al", "P", ++index, 0);
    event();
    return store_->AuthInfoFromToken(token, clock_).ok();
  };
  ASSERT_TRUE(store_->UserAdd("al", "", Hashed("a"), false).ok());
  ASSERT_TRUE(store_->RoleAdd("r").ok());
  EXPECT_TRUE(still_good([&] { ASSERT_TRUE(store_->UserGrantRole("al", "r").ok()); }));
  EXPECT_FALSE(still_good([&] { ASSERT_TRUE(store_->UserChangePassword("al", "", Hashed("b")).ok()); }));
  EXPECT_FALSE(still_good([&] {
    store_->Disable();
    ASSERT_TRUE(store_->Enable().ok());
  }));
  EXPECT_TRUE(still_good([&] { ASSERT_TRUE(store_->Reload(backend_.get()).ok()); }));
  EXPECT_FALSE(still_good([&] { ASSERT_TRUE(store_->UserDelete("al").ok()); }));
}

TEST_F(AuthStoreTest, ChecksRefuseInTheOrderOfTheOriginal) {
  EnableWithRoot();
  ASSERT_TRUE(store_->UserAdd("al", "", "", true).ok());
  ASSERT_TRUE(store_->RoleAdd("r").ok());
  ASSERT_TRUE(store_->UserGrantRole("al", "r").ok());
  Grant("r", PermissionType::kRead, "a", "");
  EXPECT_EQ(store_->IsPutPermitted({}, "a"), ErrUserEmpty());
  EXPECT_EQ(store_->IsRangePermitted({"al", store_->revision() - 1}, "a", {}), ErrAuthOldRevision());
  EXPECT_EQ(store_->IsRangePermitted({"x", store_->revision()}, "a", {}), ErrPermissionDenied());
  EXPECT_EQ(store_->IsRangePermitted({"root", store_->revision() - 1}, "a", {}), ErrAuthOldRevision());
  EXPECT_TRUE(store_->IsRangePermitted(As("root"), kOpen, kOpen).ok());
  EXPECT_TRUE(store_->IsDeleteRangePermitted(As("root"), "a", kOpen).ok());
  EXPECT_TRUE(store_->IsRangePermitted(As("al"), "a", {}).ok());
  EXPECT_EQ(store_->IsPutPermitted(As("al"), "a"), ErrPermissionDenied());
  EXPECT_EQ(store_->IsRangePermitted(As("al"), "a", kOpen), ErrPermissionDenied());
  EXPECT_EQ(store_->IsAdminPermitted({}), ErrUserEmpty());
  EXPECT_EQ(store_->IsAdminPermitted({"x", 99}), ErrUserNotFound());
  EXPECT_EQ(store_->IsAdminPermitted(As("al")), ErrPermissionDenied());
  EXPECT_TRUE(store_->IsAdminPermitted(As("root")).ok());
}

TEST_F(AuthStoreTest, UnknownPermissionTypesAreKeptAndGrantNothing) {
  EnableWithRoot();
  ASSERT_TRUE(store_->UserAdd("al", "", "", true).ok());
  ASSERT_TRUE(store_->RoleAdd("r").ok());
  ASSERT_TRUE(store_->UserGrantRole("al", "r").ok());
  Grant("r", static_cast<PermissionType>(256), "a", "");
  EXPECT_EQ(store_->IsRangePermitted(As("al"), "a", {}), ErrPermissionDenied());
  EXPECT_EQ(store_->IsPutPermitted(As("al"), "a"), ErrPermissionDenied());
  ASSERT_TRUE(store_->Reload(backend_.get()).ok());
  EXPECT_EQ(store_->RoleGet("r")->front().type, static_cast<PermissionType>(256));
}

// Random administration; then every check is compared with what the roles say, read one by one, and again
// after a reload from the buckets.
TEST_F(AuthStoreTest, ChecksAgainstADumbModel) {
  const uint64_t seed = TestSeed(7);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  EnableWithRoot();
  std::map<std::string, std::set<std::string>> users = {{"root", {"root"}}};
  std::map<std::string, std::map<std::pair<std::string, std::string>, PermissionType>> roles;
  const auto name = [&](char c) { return c + std::to_string(random.Below(3)); };
  const auto key = [&] { return std::string(1, static_cast<char>('b' + random.Below(5))); };
  // One range per key: of more than one with the same key the original keeps doubles.
  const auto end_for = [](const std::string& k) {
    return k == "b" ? kOpen : k == "c" ? "" : std::string(1, static_cast<char>(k[0] + 2));
  };
  const auto allowed = [&](const std::string& user, const std::string& k, PermissionType wanted) {
    for (const std::string& role : users[user]) {
      if (role == "root") return true;
      for (const auto& [range, type] : roles[role]) {
        const bool in_range = range.second.empty()
                                  ? k == range.first
                                  : k >= range.first && (range.second == kOpen || k < range.second);
        if (in_range && (type == wanted || type == PermissionType::kReadWrite)) return true;
      }
    }
    return false;
  };
  for (int step = 0; step < 1500; ++step) {
    const std::string user = name('u');
    const std::string role = name('r');
    const std::string k = key();
    switch (random.Below(9)) {
      case 0:
        if (store_->UserAdd(user, "", "", true).ok()) users[user];
        break;
      case 1:
        if (random.Below(4) == 0 && store_->UserDelete(user).ok()) users.erase(user);
        break;
      case 2:
        if (store_->RoleAdd(role).ok()) roles[role];
        break;
      case 3:
        if (random.Below(4) == 0 && store_->RoleDelete(role).ok()) {
          roles.erase(role);
          for (auto& [unused, granted] : users) granted.erase(role);
        }
        break;
      case 4:
      case 5:
        if (store_->UserGrantRole(user, role).ok()) users[user].insert(role);
        break;
      case 6:
        if (random.Below(2) == 0 && store_->UserRevokeRole(user, role).ok()) users[user].erase(role);
        break;
      case 7: {
        const Permission permission{static_cast<PermissionType>(random.Below(3)), k, end_for(k)};
        if (store_->RoleGrantPermission(role, &permission).ok())
          roles[role][{k, permission.range_end}] = permission.type;
        break;
      }
      case 8:
        if (store_->RoleRevokePermission(role, k, end_for(k)).ok()) roles[role].erase({k, end_for(k)});
        break;
    }
    if (step % 50 == 0) {
      ASSERT_TRUE(store_->Reload(backend_.get()).ok());
    }
    const std::string asked = key() + (random.Below(2) == 0 ? "" : "5");
    for (const auto& [who, unused] : users) {
      ASSERT_EQ(store_->IsRangePermitted(As(who), asked, {}).ok(), allowed(who, asked, PermissionType::kRead))
          << who << asked;
      ASSERT_EQ(store_->IsPutPermitted(As(who), asked).ok(), allowed(who, asked, PermissionType::kWrite))
          << who << asked;
    }
  }
}

}  // namespace
}  // namespace quorate::auth
