namespace Quorumail.Core.Cluster;

/// <summary>
/// What a frame on port 9000 is (first byte). Types 1 to 5 are the guide's, JSON in UTF-8; 16 and above are ours and
/// binary. An even number above 31 asks, the odd one after it answers; both begin with the asker's number (8 bytes,
/// big-endian). An unknown type closes the connection.
/// </summary>
public enum FrameType : byte
{
    /// <summary>Node health status.</summary>
    Heartbeat = 1,

    /// <summary>A change of shared state.</summary>
    StateUpdate = 2,

    /// <summary>A candidate asks for a vote, or whether it would get one.</summary>
    Election = 3,

    /// <summary>The answer to <see cref="Election"/>.</summary>
    Vote = 4,

    /// <summary>A new leader says so.</summary>
    LeaderAnnounce = 5,

    /// <summary>Handshake: who the dialling node is, and its nonce.</summary>
    Hello = 16,

    /// <summary>Handshake: who the listening node is, and its nonce.</summary>
    Challenge = 17,

    /// <summary>Handshake: the dialling node's proof of the token.</summary>
    Proof = 18,

    /// <summary>Handshake: the sender opens the connection; the listening node adds its proof of the token.</summary>
    Accept = 19,

    /// <summary>Handshake: why the connection is not opened.</summary>
    Refuse = 20,

    /// <summary>The question with this number (the whole body) can't be answered.</summary>
    Failed = 21,

    /// <summary>Are you there? Measures the round trip.</summary>
    Ping = 32,

    /// <summary>The answer to <see cref="Ping"/>.</summary>
    Pong = 33,

    /// <summary>Entries of the log, or none: the engine's heartbeat.</summary>
    Append = 34,

    /// <summary>The answer to <see cref="Append"/>.</summary>
    Appended = 35,

    /// <summary>A part of a snapshot.</summary>
    Snapshot = 36,

    /// <summary>The answer to <see cref="Snapshot"/>.</summary>
    SnapshotTaken = 37,

    /// <summary>A follower's commands for the leader's log.</summary>
    Propose = 38,

    /// <summary>The answer to <see cref="Propose"/>.</summary>
    Proposed = 39,

    /// <summary>Leadership: synchronise a read, resign, take over.</summary>
    Lead = 40,

    /// <summary>The answer to <see cref="Lead"/>.</summary>
    Led = 41,

    /// <summary>Formation and membership: what do you know, promise, join, leave, remove.</summary>
    Member = 42,

    /// <summary>The answer to <see cref="Member"/>.</summary>
    Membered = 43,

    /// <summary>A question of the program around the cluster: pieces of message bodies.</summary>
    Application = 44,

    /// <summary>The answer to <see cref="Application"/>.</summary>
    ApplicationAnswer = 45,
}
