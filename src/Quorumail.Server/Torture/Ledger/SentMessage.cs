namespace Quorumail.Server.Torture.Ledger;

/// <summary>What a client knows of one message.</summary>
/// <param name="Id">Its name; used for one attempt only.</param>
/// <param name="Recipients">The envelope's recipients.</param>
/// <param name="Outcome">What the server answered.</param>
/// <param name="Reply">The deciding reply, or empty.</param>
internal sealed record SentMessage(string Id, IReadOnlyList<string> Recipients, SendOutcome Outcome, string Reply)
{
    /// <summary>Which command's answer decided; of no meaning for an unknown outcome.</summary>
    public SendStage Stage { get; init; }

    /// <summary>When it was begun: a timestamp of this process.</summary>
    public long Called { get; init; }

    /// <summary>When its outcome was known.</summary>
    public long Returned { get; init; }
}

/// <summary>The answer to a message.</summary>
internal enum SendOutcome
{
    /// <summary>The connection broke before the answer was read.</summary>
    Unknown,

    /// <summary>250 after the final dot: the server's responsibility from there on.</summary>
    Acknowledged,

    /// <summary>451 after the final dot: nothing may come of it, or it is listed.</summary>
    Deferred,

    /// <summary>Any other refusal, at any stage.</summary>
    Refused,
}

/// <summary>The commands of a message's transaction.</summary>
internal enum SendStage
{
    /// <summary>MAIL: nothing had been accepted.</summary>
    Mail,

    /// <summary>RCPT.</summary>
    Recipient,

    /// <summary>DATA.</summary>
    Data,

    /// <summary>The message itself, by DATA or BDAT.</summary>
    Content,
}
