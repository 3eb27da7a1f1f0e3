// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What the registry offers to the outside: types, events, errors, functions (spec/chain §4.5–4.15).
/// @dev Off-chain software uses the ABI of this interface; it holds every error that the registry throws itself.
interface IServiceNodeRegistry {
    // ---- types -------------------------------------------------------------------------------------------------

    /// What an operator registers. The Ed25519 signature is checked by peers and clients, not here.
    struct Registration {
        bytes32 ed25519;
        bytes32 edSig0;
        bytes32 edSig1;
        address votingKey;
        bytes32 beaconAnchor; // zero: the node takes no part in the beacon
        uint16 feeBps;
        address beneficiary; // of the operator's share; zero: the operator
    }

    struct Contribution {
        address staker;
        address beneficiary;
        uint96 amount;
    }

    /// One member's signature: EIP-712 digest with its own reasons, compact form of EIP-2098.
    struct Vote {
        uint8 index;
        uint16 reasons;
        bytes32 r;
        bytes32 vs;
    }

    struct Entry {
        uint32 nodeId;
        uint8 index;
    }

    /// A node as stored (spec/chain §4.4). Times are unix seconds, credit is seconds.
    struct Node {
        address operator;
        uint32 slot;
        uint8 state; // 0 none, 2 active, 3 decommissioned, 4 deregistered, 5 exited
        uint16 feeBps;
        uint8 contributorCount;
        uint32 stateNonce;
        uint40 registeredAt;
        uint40 activeSince;
        uint40 decommissionedAt;
        uint32 credit;
        uint40 unlockAt; // 0: no exit requested
        uint40 lockedUntil;
        uint16 decommissionCount;
        uint8 flags; // bit 0: payable
        bytes32 ed25519;
        uint128 reward;
        uint128 accSnap;
        uint128 stake;
        uint16 reasonsAll;
        uint16 reasonsAny;
        uint40 payableAt; // 0 none, 1 due while decommissioned, else the time of its entry in queue P
        uint56 penalty;
        bytes32 beaconAnchor;
    }

    struct Contributor {
        address staker;
        uint88 amount;
        bool withdrawn; // the amount stays, since the shares of the reward are computed from it
        address beneficiary;
        uint96 claimed;
    }

    /// Immutable facts of a deployment. Times in seconds, `t0` and `registrationOpenAt` unix time.
    struct Config {
        address token;
        address rewardPool;
        address contributionPools;
        address governor; // zero: the parameters are frozen
        address guardian; // zero: nobody can pause
        uint32 epochLength;
        uint32 revealWindow;
        uint40 t0; // 0 in the constructor: the time of the deployment
        uint40 registrationOpenAt; // until then only genesis operators register
        uint8 seedMode; // 0 reveal, 1 block
    }

    /// Parameters in force now (spec/chain §4.3). Times in seconds.
    struct Params {
        uint64 stakingRequirement;
        uint8 maxContributors;
        uint32 unlockDelay;
        uint32 deregLock;
        uint16 penaltyBps;
        uint32 payableDelay;
        uint32 shortOutage;
        uint32 smallDelay;
        uint32 creditInitial;
        uint32 creditMax;
        uint16 creditRateDen;
        uint16 creditRateNum;
        uint32 minGrace;
        uint32 rateDen;
        uint32 rateNum;
        uint8 minVoters;
        uint8 quorumSize;
        uint16 deactivationBps;
        uint16 registrationBps;
    }

    /// Keys of setParam, in the order of Params. Pairs are one value: creditRate = num << 16 | den,
    /// rewardRate = num << 32 | den, quorum = quorumSize << 8 | minVoters.
    enum Param {
        stakingRequirement,
        maxContributors,
        unlockDelay,
        deregLock,
        penaltyBps,
        payableDelay,
        shortOutage,
        smallDelay,
        creditInitial,
        creditMax,
        creditRate,
        minGrace,
        rewardRate,
        quorum,
        deactivationBps,
        registrationBps
    }

    struct Accounting {
        uint128 accPerNode; // scaled by 10^18
        uint128 allocated;
        uint40 lastAccrual;
        uint32 payableCount;
        uint32 activeCount;
        uint32 counterEpoch; // the two counters below and activeBase belong to this epoch
        uint32 registrations;
        uint32 decommissions;
        uint32 activeBase; // active nodes when the counters were reset; the rate limits are shares of it
    }

    /// Positions in the two FIFO queues and in the queue of free slots, and the epochs of the last two revealed seeds.
    struct Positions {
        uint32 payHead;
        uint32 payTail;
        uint32 exitHead;
        uint32 exitTail;
        uint32 freeHead;
        uint32 lastNodeId;
        uint32 revealedEpoch1; // the newest revealed seed
        uint32 revealedEpoch2; // the one before
    }

    // ---- events ------------------------------------------------------------------------------------------------

    event NodeRegistered(
        uint32 indexed nodeId,
        address indexed operator,
        bytes32 indexed ed25519,
        bytes32 edSig0,
        bytes32 edSig1,
        address votingKey,
        bytes32 beaconAnchor,
        uint16 feeBps,
        uint256 stake,
        Contribution[] contributors
    );
    /// From now on the node's place in draws is this slot with this interval; earlier intervals of it have ended.
    event MembershipChanged(uint32 indexed nodeId, uint32 slot, uint32 from, uint32 until);
    /// `epoch` is that of the votes; for an exit and a migration the epoch in which it was processed.
    event StateChanged(
        uint32 indexed nodeId,
        uint8 state,
        uint32 epoch,
        uint32 stateNonce,
        uint16 reasonsAll,
        uint16 reasonsAny
    );
    /// nodeId 0: recorded from a block hash (seedMode BLOCK).
    event SeedRevealed(uint32 indexed epoch, uint32 indexed nodeId, bytes32 pre, bytes32 seed);
    event VotingKeyChanged(uint32 indexed nodeId, address key);
    event ExitRequested(uint32 indexed nodeId, address by, uint40 unlockAt);
    event StakeWithdrawn(uint32 indexed nodeId, uint8 index, uint256 amount);
    event RewardsClaimed(uint32 indexed nodeId, uint8 index, address beneficiary, uint256 amount);
    event BeneficiaryChanged(uint32 indexed nodeId, uint8 index, address beneficiary);
    event Accrued(uint256 amount, uint256 accPerNode, uint40 time);
    /// The node earns from now on (true) or no longer (false).
    event PayableChanged(uint32 indexed nodeId, bool payable_);
    /// At the deployment for every key, with fromEpoch 0; then for each change.
    event ParamChanged(uint8 indexed key, uint256 value, uint32 fromEpoch);
    event SuccessorNamed(address successor);
    event MigrationAgreed(uint32 indexed nodeId, uint8 index, address successor);
    event NodeMigrated(uint32 indexed nodeId, address successor, uint256 stake);
    event MinimumVersion(uint16 major, uint16 minor, uint16 patch);
    event RegistrationsPaused(uint40 until);

    // ---- errors ------------------------------------------------------------------------------------------------

    error NotOpen();
    error RateLimited();
    error BadFee();
    error ZeroKey();
    error NotOperator();
    error NotContributor();
    error NotGovernor();
    error NotGuardian();
    error NotPools();
    error BadState(uint8 state);
    error BadAction();
    error BadStake();
    error StaleEpoch();
    error TooEarly();
    error BadNonce();
    error TooFewVoters();
    error TooFewVotes();
    error TooManyVotes();
    error BadIndex();
    error BadSignature(uint8 index);
    error GraceNotOver(uint40 until);
    error AlreadyRevealed();
    error WindowClosed();
    error WrongPreimage();
    error WrongSeedMode();
    error ExitAlreadyRequested();
    error SmallContributorLocked(uint40 until);
    error Locked(uint40 until);
    error AlreadyWithdrawn();
    error NothingToClaim();
    error CapExceeded();
    error OutOfBounds();
    error NoSuccessor();
    error NotAgreed();
    error TransferMismatch();
    error ZeroAddress();

    // ---- registration (§4.5) -----------------------------------------------------------------------------------

    /// Registers a node with one stake of the caller, who becomes its operator. Pulls the staking requirement.
    function register(Registration calldata registration) external returns (uint32 nodeId);

    /// The same with an ERC-2612 permit. A permit that somebody else has already spent does no harm.
    function registerWithPermit(
        Registration calldata registration,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (uint32 nodeId);

    /// For ContributionPools only.
    function registerPooled(
        address operator,
        Registration calldata registration,
        Contribution[] calldata contributions
    ) external returns (uint32 nodeId);

    function setVotingKey(uint32 nodeId, address key) external;

    function setBeneficiary(uint32 nodeId, uint8 index, address beneficiary) external;

    // ---- seeds (§4.7) ------------------------------------------------------------------------------------------

    function reveal(bytes32 pre) external;

    /// In place of reveal where seedMode is BLOCK.
    function record() external;

    // ---- votes (§4.10, 4.11) -----------------------------------------------------------------------------------

    /// action: 1 decommission, 2 recommission, 3 deregister.
    function submitStateChange(
        uint32 nodeId,
        uint8 action,
        uint32 epoch,
        uint32 stateNonce,
        Vote[] calldata votes
    ) external;

    // ---- rewards (§4.12) ---------------------------------------------------------------------------------------

    /// Works off at most `max` due entries of the queues; returns whether none is left.
    function poke(uint256 max) external returns (bool done);

    /// By the staker or the beneficiary of each entry; pays the beneficiaries. Pays what the cap of the pool leaves.
    function claim(Entry[] calldata entries) external returns (uint256 paid);

    // ---- leaving (§4.13) ---------------------------------------------------------------------------------------

    function requestExit(uint32 nodeId, uint8 index) external;

    function withdrawStake(uint32 nodeId, uint8 index) external returns (uint256 amount);

    /// A contributor agrees (or with the zero address takes back) that the node moves to this successor.
    function agreeToMigrate(uint32 nodeId, uint8 index, address successor_) external;

    /// Moves stake and keys; `data` goes to the successor (a new signature of the Ed25519 key, a new anchor).
    function migrate(uint32 nodeId, bytes calldata data) external;

    // ---- governance (§4.14) ------------------------------------------------------------------------------------

    function setParam(Param key, uint256 value) external;

    function nameSuccessor(address successor_) external;

    function announceMinimumVersion(uint16 major, uint16 minor, uint16 patch) external;

    /// By the guardian: at most 14 d, and not again before 90 d after the start of the last pause.
    function pauseRegistrations(uint40 duration) external;

    function resumeRegistrations() external;

    // ---- views (§4.15); more in RegistryLens -------------------------------------------------------------------

    function config() external view returns (Config memory);

    function epochNow() external view returns (uint32);

    /// Seed of the running epoch (TooEarly until it is final) or of the one before (any other: StaleEpoch).
    function seedOf(uint32 epoch) external view returns (bytes32);

    /// S(e), spec/chain §4.8.
    function slotCountFor(uint32 epoch) external view returns (uint32);

    /// threshold 0: too few members for a decision.
    function quorumOf(
        uint32 nodeId,
        uint32 epoch
    ) external view returns (uint32[] memory nodeIds, address[] memory keys, uint32 threshold);

    /// 0: nobody is eligible. For the running epoch, and for the next one once the seed of this one is final.
    function proposerOf(uint32 epoch) external view returns (uint32 nodeId);

    function quorumParams(uint32 epoch) external view returns (uint8 quorumSize, uint8 minVoters);

    function voteDigest(
        uint32 nodeId,
        uint8 action,
        uint32 epoch,
        uint32 stateNonce,
        uint16 reasons
    ) external view returns (bytes32);

    function stakingRequirement() external view returns (uint64);

    function maxContributors() external view returns (uint8);

    /// What a claim would pay if nothing accrued since lastAccrual; RegistryLens.claimable answers for now.
    function claimable(uint32 nodeId, uint8 index) external view returns (uint256);

    /// Words of the storage as they are (layout: spec/chain §4.4); RegistryLens reads them apart.
    function storageWords(uint256 slot, uint256 count) external view returns (uint256[] memory words);
}
