/* Parts of a program that watches models; each gives 0, or where it failed. */
#ifndef CHECK_H
#define CHECK_H

#ifdef __cplusplus
#define static_cast_to(type, value) static_cast<type>(value)
extern "C" {
#else
#define static_cast_to(type, value) ((type)(value))
#endif

int check_models(void);
int check_status(void);
int check_verify(void);
int check_conversion(void);

#ifdef __cplusplus
}
#endif

#endif
