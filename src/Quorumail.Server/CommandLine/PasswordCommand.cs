using System.CommandLine;
using System.Security.Cryptography;
using System.Text;
using Quorumail.Core.Smtp.Authentication;

namespace Quorumail.Server.CommandLine;

/// <summary><c>smtp-server password</c>: makes the <c>password_hash</c> of a user.</summary>
internal static class PasswordCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("password", "Make the password_hash of a user: asks for the password, or reads one line of standard input.");
        command.SetAction(_ =>
        {
            var password = Console.IsInputRedirected ? Console.In.ReadLine() : Ask();
            if (string.IsNullOrEmpty(password) || Encoding.UTF8.GetByteCount(password) > PasswordHash.PasswordMax)
            {
                Console.Error.WriteLine($"smtp-server: a password has 1 to {PasswordHash.PasswordMax} octets, and both times the same; nothing was made");
                return ExitCode.BadConfiguration;
            }

            Console.Out.WriteLine(PasswordHash.Create(password, RandomNumberGenerator.GetBytes(PasswordHash.SaltLength)));
            return ExitCode.Success;
        });
        return command;
    }

    private static string? Ask()
    {
        var first = ReadHidden("Password: ");
        var second = ReadHidden("Again: ");
        return string.Equals(first, second, StringComparison.Ordinal) ? first : null;
    }

    private static string ReadHidden(string prompt)
    {
        Console.Error.Write(prompt);
        var text = new StringBuilder();
        while (true)
        {
            var key = Console.ReadKey(intercept: true);
            if (key.Key == ConsoleKey.Enter)
            {
                Console.Error.WriteLine();
                return text.ToString();
            }

            if (key.Key == ConsoleKey.Backspace)
            {
                text.Length = Math.Max(0, text.Length - 1);
            }
            else if (!char.IsControl(key.KeyChar))
            {
                text.Append(key.KeyChar);
            }
        }
    }
}
