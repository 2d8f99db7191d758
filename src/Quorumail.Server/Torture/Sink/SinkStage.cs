namespace Quorumail.Server.Torture.Sink;

/// <summary>Where in a session the sink asks its script what to do.</summary>
internal enum SinkStage
{
    /// <summary>A connection has come.</summary>
    Connect,

    /// <summary>MAIL.</summary>
    Mail,

    /// <summary>RCPT; the argument is the address.</summary>
    Recipient,

    /// <summary>The whole message is there; the argument is its ledger id.</summary>
    EndOfData,
}

/// <summary>What a sink does at a stage.</summary>
/// <param name="Kind">The kind of answer.</param>
/// <param name="Reply">The reply of <see cref="SinkActionKind.Reply"/>.</param>
/// <param name="Release">What <see cref="SinkActionKind.Hold"/> waits for.</param>
internal sealed record SinkAction(SinkActionKind Kind, string Reply = "", Task? Release = null)
{
    /// <summary>The ordinary positive answer.</summary>
    public static readonly SinkAction Accept = new(SinkActionKind.Accept);

    /// <summary>Resets the connection without taking the message.</summary>
    public static readonly SinkAction Reset = new(SinkActionKind.Reset);

    /// <summary>Takes the message and closes without a reply: the sender can't know.</summary>
    public static readonly SinkAction LoseReply = new(SinkActionKind.LoseReply);

    /// <summary>The positive answer, a second late.</summary>
    public static readonly SinkAction Tarpit = new(SinkActionKind.Tarpit);

    /// <summary>Says nothing any more and keeps the connection.</summary>
    public static readonly SinkAction Hang = new(SinkActionKind.Hang);

    /// <summary>A reply of one's own, such as <c>451 4.3.0 later</c>.</summary>
    public static SinkAction Say(string reply) => new(SinkActionKind.Reply, reply);

    /// <summary>The positive answer, when something has happened.</summary>
    public static SinkAction Hold(Task release) => new(SinkActionKind.Hold, Release: release);
}

/// <summary>The kinds of <see cref="SinkAction"/>.</summary>
internal enum SinkActionKind
{
    /// <summary>A positive reply.</summary>
    Accept,

    /// <summary>The given reply; the message is not taken unless it is positive.</summary>
    Reply,

    /// <summary>A connection reset.</summary>
    Reset,

    /// <summary>The message is taken, the reply never sent.</summary>
    LoseReply,

    /// <summary>A positive reply that comes late.</summary>
    Tarpit,

    /// <summary>Silence.</summary>
    Hang,

    /// <summary>A positive reply that is held back; the message is taken at once.</summary>
    Hold,
}
