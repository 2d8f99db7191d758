using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Quorumail.Server.Torture.Load;

/// <summary>
/// A message of random text that can be recognised and verified wherever it turns up: its first header line is
/// <c>X-Ledger-Id: id sha256</c>, the hash being that of every octet after that line.
/// </summary>
/// <param name="Id">Its name.</param>
/// <param name="Content">All octets, lines ended by CRLF, before dot-stuffing.</param>
internal sealed record TestMessage(string Id, byte[] Content)
{
    private const string Marker = "X-Ledger-Id: ";

    private const string Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,;:-_+*/=?!";

    /// <summary>Makes a message of about <paramref name="size"/> octets; some lines begin with dots, some hold 8-bit text.</summary>
    public static TestMessage Random(string id, int size, Random random)
    {
        var rest = new StringBuilder(size + 200);
        rest.Append(CultureInfo.InvariantCulture, $"Message-ID: <{id}@ledger.example>\r\n");
        rest.Append("Date: Thu, 01 Oct 2026 12:00:00 +0000\r\nFrom: sender@ledger.example\r\nTo: recipient@sink.example\r\nSubject: ledger\r\n");
        rest.Append("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
        Span<char> line = stackalloc char[72];
        while (rest.Length < size)
        {
            switch (random.Next(12))
            {
                case 0:
                    rest.Append('.', random.Next(1, 4));
                    break;
                case 1:
                    rest.Append("Grüße ");
                    break;
            }

            var length = random.Next(line.Length);
            random.GetItems(Letters, line[..length]);
            rest.Append(line[..length]).Append("\r\n");
        }

        var tail = Encoding.UTF8.GetBytes(rest.ToString());
        var head = Encoding.ASCII.GetBytes($"{Marker}{id} {Convert.ToHexStringLower(SHA256.HashData(tail))}\r\n");
        return new TestMessage(id, [.. head, .. tail]);
    }

    /// <summary>Finds such a message in what was delivered, after whatever trace headers the servers put before it.</summary>
    /// <returns>False if there is none.</returns>
    public static bool TryRecognise(ReadOnlySpan<byte> delivered, out string id, out bool isIntact)
    {
        id = "";
        isIntact = false;
        var at = delivered.StartsWith("X-Ledger-Id: "u8) ? 0 : delivered.IndexOf("\nX-Ledger-Id: "u8) + 1;
        var line = delivered[at..];
        var end = line.IndexOf((byte)'\n');
        if (!line.StartsWith("X-Ledger-Id: "u8) || end < 0)
        {
            return false;
        }

        var words = Encoding.ASCII.GetString(line[Marker.Length..end]).TrimEnd('\r').Split(' ');
        id = words[0];
        isIntact = words.Length == 2
            && words[1].Equals(Convert.ToHexStringLower(SHA256.HashData(line[(end + 1)..])), StringComparison.Ordinal)
            && line[end - 1] == '\r';
        return true;
    }
}
