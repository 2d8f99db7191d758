namespace Quorumail.Server.Torture.Load;

/// <summary>One whole reply: its code and its lines without CRLF.</summary>
internal sealed record SmtpReply(int Code, IReadOnlyList<string> Lines)
{
    /// <summary>2xx or 3xx.</summary>
    public bool IsPositive => Code is >= 200 and < 400;

    /// <inheritdoc/>
    public override string ToString() => string.Join(" / ", Lines);
}
