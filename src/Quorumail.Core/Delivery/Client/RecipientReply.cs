namespace Quorumail.Core.Delivery.Client;

/// <summary>What a transaction has found out about one recipient.</summary>
public enum RecipientVerdict
{
    /// <summary>Nothing: the connection ended before the final dot, or this recipient's command was never answered.</summary>
    Unanswered = 0,

    /// <summary>RCPT was accepted; the message's own reply is still to come.</summary>
    Pending = 1,

    /// <summary>The next hop has taken responsibility.</summary>
    Delivered = 2,

    /// <summary>4yz.</summary>
    Temporary = 3,

    /// <summary>5yz.</summary>
    Permanent = 4,

    /// <summary>The final dot has been sent and no reply came: the next hop may have the message (RFC 1047).</summary>
    InDoubt = 5,
}

/// <summary>One recipient's result in a transaction.</summary>
/// <param name="Verdict">What is known.</param>
/// <param name="Stage">The command that was answered.</param>
/// <param name="EnhancedCode">RFC 3463 status.</param>
/// <param name="Text">The reply, or our own words: one line, at most 512 characters, printable ASCII.</param>
public readonly record struct RecipientReply(RecipientVerdict Verdict, ClientStage Stage, string EnhancedCode, string Text);
