namespace Quorumail.Core.Cluster;

/// <summary>Why a connection between two nodes is not opened. The numbers stand on the wire.</summary>
public enum RefusalReason : byte
{
    /// <summary>No reason that this version knows.</summary>
    Unknown = 0,

    /// <summary>The two speak no common version of the protocol.</summary>
    Version = 1,

    /// <summary>The other's token is none of ours.</summary>
    Token = 2,

    /// <summary>One of the two authenticates and the other doesn't.</summary>
    AuthenticationMismatch = 3,

    /// <summary>The two belong to different clusters.</summary>
    ForeignCluster = 4,

    /// <summary>Another process has the same node id.</summary>
    DuplicateNodeId = 5,

    /// <summary>The two are one process: an address in the list is one's own.</summary>
    Self = 6,

    /// <summary>Membership says no: an old incarnation, for example.</summary>
    NotAdmitted = 7,

    /// <summary>A plain connection to a port that speaks TLS.</summary>
    TlsRequired = 8,

    /// <summary>TLS to a port that doesn't speak it.</summary>
    TlsUnexpected = 9,

    /// <summary>The TLS handshake failed: a certificate that isn't trusted, for example.</summary>
    Certificate = 10,

    /// <summary>Too many connections are not authenticated yet.</summary>
    TooMany = 11,

    /// <summary>The handshake took too long.</summary>
    TimedOut = 12,

    /// <summary>Not our protocol.</summary>
    Malformed = 13,

    /// <summary>The two are connected already.</summary>
    Redundant = 14,

    /// <summary>The node stops, or introduces itself anew.</summary>
    Stopping = 15,
}
