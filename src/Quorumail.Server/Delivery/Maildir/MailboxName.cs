using System.Security.Cryptography;
using System.Text;

namespace Quorumail.Server.Delivery.Maildir;

/// <summary>
/// The folder name of a mailbox: small letters, digits, <c>_ - + . @</c> stand for themselves, every other octet of the UTF-8 form is
/// written %XX, so that no name leaves the folder, hides in it, or is another one's in a different case.
/// </summary>
public static class MailboxName
{
    /// <summary>Longest folder name, in octets; longer ones end in a hash. Linux allows 255.</summary>
    public const int LengthMax = 200;

    private const int HashLength = 32;

    /// <summary>Maps a mailbox's name or a local part.</summary>
    public static string ToFolder(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var octets = Encoding.UTF8.GetBytes(name.ToLowerInvariant());
        var folder = new StringBuilder(octets.Length + 8);
        foreach (var octet in octets)
        {
            var c = (char)octet;
            if (char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '_' or '-' or '+' or '@' || (c == '.' && folder.Length > 0))
            {
                folder.Append(c);
            }
            else
            {
                folder.Append(System.Globalization.CultureInfo.InvariantCulture, $"%{octet:X2}");
            }
        }

        if (folder.Length == 0)
        {
            return "%";
        }

        if (folder.Length <= LengthMax)
        {
            return folder.ToString();
        }

        // "%-" is in no other name.
        var hash = Convert.ToHexStringLower(SHA256.HashData(octets))[..HashLength];
        return string.Concat(folder.ToString(0, LengthMax - HashLength - 2), "%-", hash);
    }

    /// <summary>An address without the quotes of its local part: the mailbox of an address that nobody is named for.</summary>
    public static string OfAddress(string address)
    {
        ArgumentNullException.ThrowIfNull(address);
        var at = address.LastIndexOf('@');
        var local = at < 0 ? address : address[..at];
        if (local.Length < 2 || local[0] != '"' || local[^1] != '"')
        {
            return address;
        }

        var plain = new StringBuilder(address.Length);
        for (var i = 1; i < local.Length - 1; i++)
        {
            if (local[i] == '\\' && i + 1 < local.Length - 1)
            {
                i++;
            }

            plain.Append(local[i]);
        }

        return plain.Append(address, local.Length, address.Length - local.Length).ToString();
    }
}
