namespace Quorumail.Core.Cluster;

/// <summary>What <see cref="Handshake"/> wants done next.</summary>
public enum HandshakeStepKind
{
    /// <summary>Send <see cref="HandshakeStep.Frame"/> and wait for the peer.</summary>
    Send = 0,

    /// <summary>The peer is who it says. Decide, then call <see cref="Handshake.Admit"/> or <see cref="Handshake.Refuse"/>.</summary>
    Judge = 1,

    /// <summary>Send <see cref="HandshakeStep.Frame"/>, if there is one: the connection is open.</summary>
    Open = 2,

    /// <summary>We refuse: send <see cref="HandshakeStep.Frame"/> and close.</summary>
    Refuse = 3,

    /// <summary>The peer refuses: close.</summary>
    Refused = 4,
}

/// <summary>One step of a handshake.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="Frame">A whole frame to send; empty for none.</param>
/// <param name="Reason">Why it is refused.</param>
/// <param name="Text">The same for people, printable ASCII.</param>
public readonly record struct HandshakeStep(
    HandshakeStepKind Kind,
    ReadOnlyMemory<byte> Frame,
    RefusalReason Reason = RefusalReason.Unknown,
    string Text = "");
