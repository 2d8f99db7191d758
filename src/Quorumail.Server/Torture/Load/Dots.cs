using System.Buffers;

namespace Quorumail.Server.Torture.Load;

/// <summary>Transparency of DATA (RFC 5321 4.5.2), written apart from the server's own code on purpose.</summary>
internal static class Dots
{
    /// <summary>Doubles each dot that begins a line, and adds the line with the final dot.</summary>
    public static byte[] Stuff(ReadOnlySpan<byte> content)
    {
        var output = new ArrayBufferWriter<byte>(content.Length + 64);
        while (!content.IsEmpty)
        {
            if (content[0] == '.')
            {
                output.Write("."u8);
            }

            var end = content.IndexOf("\r\n"u8);
            var line = end < 0 ? content : content[..(end + 2)];
            output.Write(line);
            content = content[line.Length..];
        }

        if (!output.WrittenSpan.EndsWith("\r\n"u8) && output.WrittenCount > 0)
        {
            output.Write("\r\n"u8);
        }

        output.Write(".\r\n"u8);
        return output.WrittenSpan.ToArray();
    }
}
