using System.Text;

namespace Quorumail.Server.Torture.Sink;

/// <summary>A message as it came to the sink.</summary>
internal sealed record SinkMessage(string Sender, IReadOnlyList<string> Recipients, byte[] Content)
{
    /// <summary>The octets as text, one character each.</summary>
    public string Text => Encoding.Latin1.GetString(Content);
}
